-- Posthouse, migration 13: what a sender asked of his message's transport (RFC 3461 and the extensions like it).
--
-- Parameters stand as SMTP writes them, "RET=HDRS ENVID=QQ314159". What only the sender and the next hop understand needs no
-- column of its own; what this database decides by has one.

alter table message
    add parameters text;                     -- of MAIL, to be passed on; null: none
alter table queue_entry
    add parameters text,                     -- of RCPT, to be passed on; null: none
    add delay_at timestamptz;                -- the sender is then told of the delay; null: not put off yet, or not to be
                                             -- told; infinity: he has been told
create index queue_entry_delay on queue_entry (cell, delay_at) where delay_at < 'infinity';
