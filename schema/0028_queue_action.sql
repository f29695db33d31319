-- Posthouse, migration 28: what is done to many queue entries at once, and how far it is.

create table queue_action (
    id             bigint primary key,
    kind           text not null check (kind in ('retry', 'hold', 'release', 'reject', 'cancel', 'redirect', 'priority')),
    domain         text,                     -- the filter (storage/queue_filter.h), as it was when it was counted
    sender         text,
    destination    text,
    customer_id    bigint,
    in_state       smallint not null,
    since          timestamptz,
    before         timestamptz not null,     -- not later than the count: what came after it is left alone
    held_until     timestamptz,              -- what is done (storage/queue_act.h)
    held_then      text,
    reason         text,
    to_destination text,
    priority       smallint not null,
    state          text not null default 'previewed' check (state in ('previewed', 'running', 'done', 'stopped')),
    matched        bigint not null,          -- when it was counted
    cursor_id      bigint not null default 0, -- of the last entry that was looked at
    done           bigint not null default 0,
    skipped        bigint not null default 0,
    created_at     timestamptz not null default now(),
    started_at     timestamptz,
    ended_at       timestamptz
);
create index queue_action_running on queue_action (id) where state = 'running';
comment on table queue_action is
    'An action on all entries that a filter finds: counted first, then started by whoever agrees to the count, carried out in batches by the processes of the API. A batch moves cursor_id in its transaction, so that none is done twice';
