-- Posthouse, migration 20: how urgent a message is: by when it is to be delivered (RFC 2852), and before which others (RFC 6710).

alter table queue_entry
    add deliver_by timestamptz,              -- then it is returned (BY=;R) or its sender told (BY=;N); null: neither, or told
    add priority   smallint not null default 0 check (priority between -9 and 9); -- higher goes first
create index queue_entry_deliver_by on queue_entry (cell, deliver_by) where deliver_by is not null and worker is null;

drop index queue_entry_waiting;
create index queue_entry_waiting on queue_entry (cell, destination, priority desc, id) where worker is null and held_until is null;
