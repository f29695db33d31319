-- Posthouse, migration 27: where an entry would go if an administrator had not sent it elsewhere.

alter table queue_entry
    add redirected_from text;                -- its own destination; null: it goes there
