-- Posthouse, migration 29: destinations, senders and customers whose mail waits until somebody resumes it.
--
-- A directory table: each worker has all of it in memory (storage/suspension.c). What a worker comes upon of theirs is held, by
-- 'suspension'; so it costs nothing while it waits, and its lifetime stands still.

create table suspension (
    id         bigint primary key,
    kind       text not null check (kind in ('destination', 'sender', 'customer')),
    value      text not null,                -- a destination's key or a recipients' domain; name_key() of an address; an id in decimal
    reason     text not null check (length(reason) between 1 and 500),
    expires_at timestamptz,                  -- the first moment when it is over; null: when somebody resumes it
    ended_at   timestamptz,                  -- resumed; the row goes when nothing is held by it any more
    created_at timestamptz not null default now()
);
create unique index suspension_key on suspension (kind, value) where ended_at is null;
comment on table suspension is 'Whose mail is not delivered for now; it is still accepted';

create trigger directory_changed after insert or update or delete on suspension
    for each statement execute function directory_changed();

alter table queue_entry
    add suspension_id bigint,                -- which one holds it; null: none, or somebody else decided since
    drop constraint queue_entry_held_by_check,
    add constraint queue_entry_held_by_check check (held_by in ('sender', 'limit', 'administrator', 'suspension'));
create index queue_entry_suspension on queue_entry (suspension_id, id) where suspension_id is not null;
