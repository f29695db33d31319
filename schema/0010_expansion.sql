-- Posthouse, migration 10: addresses that stand for others.
--
-- An address is one thing only: an account's, a further address of an account (`alias`), or an expansion.  The rule spans tables;
-- storage/provision_address.c keeps it.  What a target is, here or outside, existing or not, is found out for each message.

create table expansion (
    id          bigint primary key,
    cell        smallint not null,
    customer_id bigint not null,             -- whose mail it is that goes outside by it
    domain_id   bigint not null,
    address     text not null,               -- lower case
    kind        text not null check (kind in ('alias', 'group')),
    senders     text not null default 'anyone' check (senders in ('anyone', 'members', 'customer')), -- who may post
    created_at  timestamptz not null default now(),
    constraint expansion_address_key unique (address),
    constraint expansion_customer_fkey foreign key (customer_id) references customer (id),
    constraint expansion_domain_fkey foreign key (domain_id) references domain (id),
    constraint expansion_senders check (kind = 'group' or senders = 'anyone')
);
create index expansion_customer on expansion (customer_id);
create index expansion_domain on expansion (domain_id);
comment on table expansion is 'An alias or a group: mail to its address goes to its targets instead. See relay/resolve.c.';

create table expansion_target (
    expansion_id bigint not null references expansion (id) on delete cascade,
    address      text not null,              -- lower case
    primary key (expansion_id, address)
);

create trigger directory_changed after insert or update or delete on expansion
    for each statement execute function directory_changed();
create trigger directory_changed after insert or update or delete on expansion_target
    for each statement execute function directory_changed();
