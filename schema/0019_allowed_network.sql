-- Posthouse, migration 19: networks whose clients are not held to what is asked of strangers.
--
-- A directory table.  Each worker has all of it in memory (storage/allow.c), as it is asked when a connection comes, before anything
-- can be looked up.

create table allowed_network (
    id          bigint primary key,
    customer_id bigint,                      -- for mail to this customer's domains only; null: for everything
    network     cidr not null,
    label       text check (length(label) between 1 and 200),
    valid_until timestamptz,                 -- the first moment when it is over; null: never
    created_at  timestamptz not null default now(),
    constraint allowed_network_key unique nulls not distinct (network, customer_id),
    constraint allowed_network_customer_fkey foreign key (customer_id) references customer (id)
);
create index allowed_network_customer on allowed_network (customer_id);
comment on table allowed_network is
    'The allow-list: clients in there are exempt from limits of connections and rates, and for mail to the customer, or to all, from DNS lists, greylisting and checks of names';

create trigger directory_changed after insert or update or delete on allowed_network
    for each statement execute function directory_changed();
