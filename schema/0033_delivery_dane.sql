-- Posthouse, migration 33: mail to a domain that must be protected by DANE.

alter table delivery_policy drop constraint delivery_policy_tls_check;
alter table delivery_policy add constraint delivery_policy_tls_check check (tls in ('none', 'may', 'encrypt', 'verify', 'dane'));
comment on column delivery_policy.tls is
    'none: in clear; may: TLS when it is offered, and as the domain announces; encrypt: not without; verify: nor without a certificate '
    'for the host''s name; dane: nor without one that the host''s TLSA records mean';
