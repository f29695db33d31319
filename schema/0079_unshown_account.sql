-- Posthouse, migration 79: what waits to be shown is found by its reader.
--
-- New mail of an outage goes behind what waits for the same reader, and not behind what waits for all of his domain
-- (storage/show_older.c).

create index queue_entry_unshown_account on queue_entry (account_id, domain_id, id)
    where not shown and account_id is not null and held_until is null;
