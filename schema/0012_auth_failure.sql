-- Posthouse, migration 12: failed logins, counted for all nodes together.
--
-- A directory table, written by what gathers failures (storage/guard.c), read by all workers, who remember it.  Names are
-- counted whether an account has them or not.

create table auth_failure (
    kind         text not null check (kind in ('address', 'account', 'pair')),
    client       text not null,              -- IPv4 address, or IPv6 /64; '' of kind account
    account      text not null,              -- the login name, lower case; '' of kind address
    id           bigint not null,
    failures     integer not null,           -- within the window that began at first_at
    first_at     timestamptz not null,
    changed_at   timestamptz not null,
    banned_until timestamptz,                -- null: not banned
    primary key (kind, client, account),
    constraint auth_failure_id_key unique (id)
);
create index auth_failure_changed on auth_failure (changed_at);
create index auth_failure_banned on auth_failure (id) where banned_until is not null;
comment on table auth_failure is
    'address: from there, whoever; pair: for that name from there; account: for that name from anywhere, which bans nobody by itself';
