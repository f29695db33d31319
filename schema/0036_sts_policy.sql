-- Posthouse, migration 36: MTA-STS policies of others' domains (RFC 8461), and mail to a domain that must be protected by one.

-- Not by cell: a policy is the world's, asked for by name when a connection is made, and bounded (storage/sts_policy.c).
create table sts_policy (
    domain     text primary key,
    record_id  text,                         -- of the record in DNS when it was fetched; null: none was fetched yet
    mode       text check (mode in ('none', 'testing', 'enforce')),
    mx         text,                         -- patterns, with blanks between
    max_age    integer,
    expires_at timestamptz,                  -- until then it counts, whatever DNS says
    refresh_at timestamptz not null,         -- from then on it is fetched again
    asked_at   timestamptz,                  -- mail made us fetch it
    tried_id   text,                         -- the record for which fetching failed last
    tried_at   timestamptz,
    tried_why  text                          -- it failed, in words
);
create index sts_policy_refresh on sts_policy (refresh_at);
comment on table sts_policy is 'MTA-STS policies, as they were fetched: storage/sts_policy.h';

alter table delivery_policy drop constraint delivery_policy_tls_check;
alter table delivery_policy add constraint delivery_policy_tls_check
    check (tls in ('none', 'may', 'encrypt', 'verify', 'dane', 'sts'));
comment on column delivery_policy.tls is
    'none: in clear; may: TLS when it is offered, and as the domain announces; encrypt: not without; verify: nor without a certificate '
    'for the host''s name; dane: nor without one that the host''s TLSA records mean; sts: nor without the domain''s MTA-STS policy';
