-- Posthouse, migration 47: what becomes of copies that were shown while a primary was away.
--
-- What is delivered and what a reader did with his copy are separate facts. A row of carry says of one message of one account that
-- something is still to be done about its copies here: made in the transaction that records the delivery, gone with the copies.

alter table continuity_policy
    add deleted_mail      text check (deleted_mail in ('deliver', 'unless-deleted', 'ask')), -- what its reader deleted and the primary does not have
    add deleted_hold_days integer check (deleted_hold_days between 1 and 365), -- ask: so long somebody may decide
    add deleted_then      text check (deleted_then in ('release', 'reject')),  -- ask: if nobody does
    add copy_keep_days    integer check (copy_keep_days between 0 and 3650);   -- after the delivery

alter table queue_entry
    drop constraint queue_entry_held_by_check,
    add constraint queue_entry_held_by_check check (held_by in ('sender', 'limit', 'administrator', 'suspension', 'reader'));

create table carry (
    cell       smallint not null,
    account_id bigint not null,
    message_id bigint not null,
    domain_id  bigint not null,
    kind       text not null check (kind in ('delivered')),
    state      text not null check (state in ('kept')),
    due_at     timestamptz not null,         -- kept: when the copies here go
    made_at    timestamptz not null default now(),
    primary key (cell, account_id, message_id)
);
create index carry_due on carry (cell, state, due_at);
comment on table carry is 'Messages of an outage whose copies here are not done with';
