-- Posthouse, migration 17: mail that waits on purpose: until a moment that its sender named, or until somebody decides.
--
-- A held entry is in nobody's memory and is not looked at by claims, so that any number of them costs a destination nothing;
-- the index by which waiting mail is found leaves them out. When held_until has come, held_then happens; an administrator who
-- decides earlier moves held_until. Mail for a mailbox here is held as an entry, too, with destination "mailbox".

alter table queue_entry
    add held_until  timestamptz,             -- null: not held
    add held_by     text check (held_by in ('sender', 'limit', 'administrator')),
    add held_reason text,                    -- in words
    add held_then   text check (held_then in ('release', 'reject')),
    add constraint queue_entry_held check (num_nulls(held_until, held_by, held_reason, held_then) in (0, 4));
create index queue_entry_held on queue_entry (cell, held_until) where held_until is not null and worker is null;

drop index queue_entry_waiting;
create index queue_entry_waiting on queue_entry (cell, destination, id) where worker is null and held_until is null;

-- What a relay grant does at a limit of a minute, an hour or a day may be: take the message, and hold it.

alter table relay_grant drop constraint relay_grant_at_limit_check;
alter table relay_grant
    add constraint relay_grant_at_limit_check check (at_limit in ('refuse', 'defer', 'hold')),
    add hold_seconds bigint not null default 432000 check (hold_seconds > 0), -- unless somebody decides before
    add hold_then    text not null default 'reject' check (hold_then in ('release', 'reject'));
