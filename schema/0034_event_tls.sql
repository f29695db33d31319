-- Posthouse, migration 34: how the connection of a delivery was protected, beside what came of it.

alter table event add tls_version text;      -- of a delivery, deferral or bounce: "TLSv1.3"; null: in clear, or there was no connection
alter table event add tls_cipher text;
alter table event add tls_verified text;     -- null: there was no connection
comment on column event.tls_verified is 'none: in clear; opportunistic: by nobody; pkix: by its name; dane: by TLSA records';
comment on column event.class is
    'unknown-user, full, too-large, block-list, greylist, policy, protocol, temporary, refused, connection, tls';
