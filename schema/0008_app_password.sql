-- Posthouse, migration 8: app passwords, further passwords of an account, each for one program or device.
--
-- A directory table.  The secrets are ours (100 random bits), so a plain digest is enough, and finding the right one of an
-- account's is a look-up; storage/app_password.c.

create table app_password (
    id            bigint primary key,
    account_id    bigint not null,
    label         text not null check (length(label) between 1 and 200),
    secret_sha256 bytea not null,
    scopes        text[] not null check (scopes <> '{}' and scopes <@ array['smtp', 'imap', 'pop3']),
    networks      cidr[] not null,           -- where it may be used from; empty: anywhere
    expires_at    timestamptz,               -- the first moment when it is over; null: never
    created_at    timestamptz not null default now(),
    last_used_at  timestamptz,               -- about when: written at most every ten minutes
    constraint app_password_label_key unique (account_id, label),
    constraint app_password_account_fkey foreign key (account_id) references account (id) on delete cascade
);
create unique index app_password_secret on app_password (account_id, secret_sha256);
comment on table app_password is 'A further password of an account, which we made: for some services, from some networks, until some time';
