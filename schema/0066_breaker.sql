-- Posthouse, migration 66: the circuit breaker: an account whose sending leaves its own pattern has its mail held.
--
-- What an account sends is counted where there is a policy for it, in memory first, and written here some times a second for all
-- nodes (storage/breaker.c). An account whose breaker is open is a held account, by 'breaker'; breaker_open has the rest of it.

create table breaker_policy (
    id           bigint primary key,
    customer_id  bigint,                     -- whose accounts; or
    domain_id    bigint references domain (id) on delete cascade, -- in which domain; or
    account_id   bigint references account (id) on delete cascade, -- this one; none of them: everybody
    enabled      boolean not null,
    messages     integer not null check (messages > 0),   -- an hour; with fewer it is never open, whatever the pattern
    recipients   integer not null check (recipients > 0),
    failures     integer not null check (failures > 0),
    factor       integer not null check (factor between 2 and 100), -- so many times what its busiest hour usually is
    countries    integer not null default 2 check (countries >= 0), -- so many in a day that are new to it
    hold_seconds bigint not null check (hold_seconds > 0), -- what is held waits so long at most
    hold_then    text not null check (hold_then in ('release', 'reject', 'discard')),
    open_seconds bigint check (open_seconds > 0), -- then it closes by itself; null: an administrator closes it
    notify       text,                       -- who is written to, beside the owner
    label        text,
    created_at   timestamptz not null default now(),
    constraint breaker_policy_customer_fkey foreign key (customer_id) references customer (id),
    constraint breaker_policy_scope check (num_nonnulls(customer_id, domain_id, account_id) <= 1)
);
create unique index breaker_policy_key on breaker_policy (coalesce(account_id, domain_id, customer_id, 0));
comment on table breaker_policy is 'From when on an account''s sending is not its own any more';

create trigger directory_changed after insert or update or delete on breaker_policy
    for each statement execute function directory_changed();

create table breaker_account (
    cell              smallint not null,
    account_id        bigint not null references account (id) on delete cascade,
    version           bigint not null,       -- moves with each change: it is compared and set
    hour              integer not null,      -- since 1970, of the next three
    hour_messages     integer not null,
    hour_recipients   integer not null,
    hour_failures     integer not null,
    before_messages   integer not null,      -- in the hour before
    before_recipients integer not null,
    before_failures   integer not null,
    day_messages      integer not null,      -- in the busiest hour of this day
    day_recipients    integer not null,
    day_failures      integer not null,
    usual_messages    integer not null,      -- in the busiest hour of its days; halves in 30 days
    usual_recipients  integer not null,
    usual_failures    integer not null,
    days              integer not null,      -- on which it has sent
    new_failures      integer not null default 0, -- not yet in hour_failures
    primary key (cell, account_id)
);
create index breaker_account_failures on breaker_account (cell) where new_failures > 0;
comment on table breaker_account is 'The pattern of an account''s sending: relay/breaker.c';

alter table held_account add until timestamptz; -- it ends by itself; null: somebody ends it

create table breaker_open (
    account_id bigint primary key references held_account (account_id) on delete cascade,
    measure    text not null check (measure in ('messages', 'recipients', 'failures', 'countries')),
    value      bigint not null,
    most       bigint not null,              -- which it was not to be over
    notify     text,
    notice_id  bigint not null,              -- the message by which its owner is told
    told_at    timestamptz,
    looked_at  timestamptz                   -- through what it has waiting, last
);
comment on table breaker_open is 'Held accounts by breaker: why, and what is still to be done about it';
