-- Posthouse, migration 32: how connections for mail to a domain are protected.

alter table delivery_policy add tls text check (tls in ('none', 'may', 'encrypt', 'verify')); -- null: as the setting
comment on column delivery_policy.tls is
    'none: in clear; may: TLS when it is offered; encrypt: not without; verify: nor without a certificate for the host''s name';
