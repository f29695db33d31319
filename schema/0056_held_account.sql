-- Posthouse, migration 56: accounts whose mail is held, because somebody else may have their password.
--
-- A directory table: each worker has all of it in memory (storage/held_account.c). What such an account sends is accepted and
-- held, until somebody decides about each message, or hold_then happens.

create table held_account (
    account_id   bigint primary key references account (id) on delete cascade,
    held_by      text not null check (held_by in ('administrator', 'breaker')),
    reason       text not null check (length(reason) between 1 and 500),
    hold_seconds bigint not null check (hold_seconds > 0),
    hold_then    text not null check (hold_then in ('release', 'reject', 'discard')),
    created_at   timestamptz not null default now()
);
comment on table held_account is 'Accounts that are thought to be compromised: what they send waits for approval';

create trigger directory_changed after insert or update or delete on held_account
    for each statement execute function directory_changed();

alter table queue_action add account_id bigint; -- of the filter
