-- Posthouse, migration 25: whose mail waits, and for whom, without looking at each message.
--
-- The new indexes leave out what is in a worker's memory: mail that is delivered at once, as nearly all is, is never in them, and
-- what waits pays for them when it begins to. What is in memory is bounded, and found by queue_entry_leased. They have no cell:
-- an id begins with its time, so lists go by id over all cells, oldest first, and each shard has its own.
--
-- What a node of the version before accepts meanwhile has neither sender nor customer: it is listed, but not found by them.

alter table queue_entry
    add sender      text,                    -- the message's, as name_key() makes it; '' is the null sender
    add customer_id bigint;                  -- the message's
update queue_entry q set sender = lower(m.sender), customer_id = m.customer_id
  from message m where m.cell = q.cell and m.id = q.message_id;

create index queue_entry_by_age on queue_entry (id) where worker is null;
create index queue_entry_by_sender on queue_entry (sender, id) where worker is null;
create index queue_entry_by_customer on queue_entry (customer_id, id) where worker is null;
create index queue_entry_by_destination on queue_entry (destination, id) where worker is null;
create index queue_entry_by_domain on queue_entry (lower(split_part(recipient, '@', -1)), id) where worker is null;
create index queue_entry_by_hold on queue_entry (id) where held_until is not null and worker is null;
