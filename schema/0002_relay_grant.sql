-- Posthouse, migration 2: relay grants, permissions that say who may send as whom, where to, and how much.
--
-- A directory table.  Who is meant: the account, the accounts of the domain, the clients in the network, or (none of
-- the three) all accounts and networks of the customer.  Without a grant the implicit rules hold: an account sends as
-- its own addresses to anywhere, a client in a `network` as any domain of the network's customer.

create table relay_grant (
    id                bigint primary key,
    customer_id       bigint not null,          -- whose permission it is; what a network sends is its mail
    revision          integer not null default 1, -- grows with every change
    label             text,
    account_id        bigint,
    domain_id         bigint,
    network           cidr,
    senders           text not null check (senders in ('own', 'domains', 'any')),
    sender_domains    text[] not null,          -- lower case, A-labels
    recipients        text not null check (recipients in ('any', 'domains', 'customer')),
    recipient_domains text[] not null,
    size_max          bigint check (size_max > 0),       -- bytes of one message; null: no limit of its own
    recipients_max    integer check (recipients_max > 0), -- of one message
    at_limit          text not null check (at_limit in ('refuse', 'defer')),
    tls_required      boolean not null,
    valid_from        timestamptz,              -- null: since ever
    valid_until       timestamptz,              -- null: for ever; the first moment when it is over
    created_at        timestamptz not null default now(),
    constraint relay_grant_customer_fkey foreign key (customer_id) references customer (id),
    constraint relay_grant_account_fkey foreign key (account_id) references account (id) on delete cascade,
    constraint relay_grant_domain_fkey foreign key (domain_id) references domain (id) on delete cascade,
    constraint relay_grant_who check (num_nonnulls(account_id, domain_id, network) <= 1),
    constraint relay_grant_sender_domains check ((senders = 'domains') = (sender_domains <> '{}')),
    constraint relay_grant_recipient_domains check ((recipients = 'domains') = (recipient_domains <> '{}')),
    constraint relay_grant_time check (valid_from < valid_until)
);
comment on table relay_grant is 'Who may send as whom, where to, and how much. See relay/authorize.c.';
create index relay_grant_customer on relay_grant (customer_id);
create index relay_grant_account on relay_grant (account_id) where account_id is not null;
create index relay_grant_domain on relay_grant (domain_id) where domain_id is not null;
create index relay_grant_network on relay_grant using gist (network inet_ops) where network is not null;
