-- Posthouse, migration 15: clients' certificates: of accounts, who sign in with them (SASL EXTERNAL), and of relay grants.
--
-- A directory table.  What is stored is public: a digest of a certificate, or a name in it.  What is asked for a sign-in is not
-- remembered in memory, as the account behind it is not; storage/certificate.c.

create table account_certificate (
    id            bigint primary key,
    account_id    bigint not null,
    label         text not null check (length(label) between 1 and 200),
    fingerprint   text check (fingerprint ~ '^[0-9a-f]{64}$'), -- SHA-256 of the whole certificate; null: any
    address       text,                      -- rfc822Name in subjectAltName, lower case; null: any
    scopes        text[] not null check (scopes <> '{}' and scopes <@ array['smtp', 'imap', 'pop3']),
    created_at    timestamptz not null default now(),
    last_used_at  timestamptz,               -- about when: written at most every ten minutes
    constraint account_certificate_label_key unique (account_id, label),
    constraint account_certificate_account_fkey foreign key (account_id) references account (id) on delete cascade,
    constraint account_certificate_what check (num_nonnulls(fingerprint, address) >= 1)
);
create index account_certificate_fingerprint on account_certificate (fingerprint) where fingerprint is not null;
create index account_certificate_address on account_certificate (address) where fingerprint is null;
comment on table account_certificate is 'A certificate with which a client signs in as the account: the one, or those with a name in them; several accounts may have one';

-- Relay grants for clients with a certificate: the fingerprint of one.
alter table relay_grant
    add certificate text check (certificate ~ '^[0-9a-f]{64}$'),
    drop constraint relay_grant_who,
    add constraint relay_grant_who check (num_nonnulls(account_id, domain_id, network, certificate) <= 1);
create index relay_grant_certificate on relay_grant (certificate) where certificate is not null;

alter table decision
    add certificate text;                    -- SHA-256 of the one that the client had shown; null: none, or a submission
