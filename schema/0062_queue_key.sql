-- Posthouse, migration 62: an entry of the queue is found by its id.
--
-- The id has the cell in it. A primary key that began with the cell was one of seven indexes that do, and to a planner that has seen
-- the queue empty they are all as good: deleting an entry went through all that its cell had waiting.

alter table queue_entry drop constraint queue_entry_pkey;
alter table queue_entry add primary key (id, cell);

-- Without its "worker is null", which is what the indexes that lists go by have: to ask for that means that they fit.
drop index queue_entry_deliver_by;
create index queue_entry_deliver_by on queue_entry (cell, deliver_by) where deliver_by is not null;
