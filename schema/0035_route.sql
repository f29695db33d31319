-- Posthouse, migration 35: routes with a name, and who and what goes by them.
--
-- A route is a list of next hops.  A rule says which mail to outside takes it: a customer's whole, that of one of its accounts or of
-- a sender's domain, or that to a recipient's domain.  It is asked when mail is accepted, and the route is the destination from then
-- on ("route:ID"), so that each has a back-off of its own.  A domain of ours may name a route instead of next hops of its own.

create table route (
    id          bigint primary key,          -- in the customer's cell
    name        text not null check (length(name) between 1 and 200),
    customer_id bigint,                      -- whose it is; null: everybody's
    created_at  timestamptz not null default now(),
    constraint route_name_key unique (name),
    constraint route_customer_fkey foreign key (customer_id) references customer (id)
);
create index route_customer on route (customer_id);
comment on table route is 'Next hops under a name, for the rules and domains that refer to it';

create table route_hop (
    route_id bigint not null references route (id) on delete cascade,
    priority integer not null check (priority between 0 and 65535), -- the lowest is tried first
    weight   integer not null check (weight between 1 and 65535),   -- among equal priorities: how often it is the first
    host     text not null,
    port     integer not null check (port between 1 and 65535),
    tls      text check (tls in ('none', 'may', 'encrypt', 'verify')), -- at least; null: as the recipient's domain and the settings say
    constraint route_hop_pkey primary key (route_id, host, port)
);
comment on table route_hop is 'The next hops of a route';

create table route_rule (
    id               bigint primary key,     -- in the customer's cell
    customer_id      bigint,                 -- whose mail; null: everybody's to recipient_domain
    account_id       bigint,                 -- who signed in
    sender_domain    text,                   -- as name_domain() makes it
    recipient_domain text,                   -- the same
    route_id         bigint not null,
    created_at       timestamptz not null default now(),
    constraint route_rule_key unique nulls not distinct (customer_id, account_id, sender_domain, recipient_domain),
    constraint route_rule_customer_fkey foreign key (customer_id) references customer (id),
    constraint route_rule_account_fkey foreign key (account_id) references account (id),
    constraint route_rule_route_fkey foreign key (route_id) references route (id),
    constraint route_rule_one check (num_nonnulls(account_id, sender_domain, recipient_domain) < 2),
    constraint route_rule_whose check (customer_id is not null or recipient_domain is not null)
);
create index route_rule_account on route_rule (account_id);
create index route_rule_route on route_rule (route_id);
comment on table route_rule is 'Which mail to outside goes by a route instead of the default route or MX';

alter table domain
    add route_id bigint,                     -- instead of next_hop; null: next_hop has them
    add constraint domain_route_fkey foreign key (route_id) references route (id);
create index domain_route on domain (route_id);

create trigger directory_changed after insert or update or delete on route
    for each statement execute function directory_changed();
create trigger directory_changed after insert or update or delete on route_hop
    for each statement execute function directory_changed();
create trigger directory_changed after insert or update or delete on route_rule
    for each statement execute function directory_changed();
