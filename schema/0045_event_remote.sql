-- Posthouse, migration 45: at which host an attempt was made, and that nobody knows how one ended.

alter table event add remote_host text;      -- of uncertain, a delivery, deferral or bounce: the next hop's name; null: none was asked
alter table event add remote_address text;   -- of the connection, or of the last that was tried
comment on column event.kind is 'accepted, delivered, deferred, uncertain, bounced, held, filed, ...';

alter table queue_entry add uncertain_at timestamptz;
comment on column queue_entry.uncertain_at is
    'The end of its content was sent, and no reply came (RFC 1047): its next hop may have it. The last such attempt; null: none';
