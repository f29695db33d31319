-- Posthouse, migration 72: of what is due at a destination goes first what has been due longest.
--
-- By the order of acceptance what had been put off and was due again went before what had never been tried, however often.

drop index queue_entry_waiting;
create index queue_entry_waiting on queue_entry (cell, destination, priority desc, due_at, id)
    where worker is null and held_until is null;

-- Plans are made while little waits, and then any index that a condition fits is as good as the right one, and is walked through when
-- much waits (storage/queue_internal.h).  So what is looked for by time, message or domain has no cell in its index, which fits everything.

drop index queue_entry_expires;
create index queue_entry_expires on queue_entry (expires_at);
drop index queue_entry_delay;
create index queue_entry_delay on queue_entry (delay_at) where delay_at < 'infinity';
drop index queue_entry_deliver_by;
create index queue_entry_deliver_by on queue_entry (deliver_by) where deliver_by is not null;
drop index queue_entry_held;
create index queue_entry_held on queue_entry (held_until) where held_until is not null and worker is null;
drop index queue_entry_leased;
create index queue_entry_leased on queue_entry (lease_until) where worker is not null;
drop index queue_entry_message;
create index queue_entry_message on queue_entry (message_id);
drop index queue_entry_domain;
create index queue_entry_domain on queue_entry (domain_id, id) where domain_id is not null;
drop index queue_entry_by_hold;
create index queue_entry_by_hold on queue_entry ((held_by is not null), id) where held_by is not null and worker is null;
