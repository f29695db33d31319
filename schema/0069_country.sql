-- Posthouse, migration 69: from which countries accounts send, by a table of addresses that administrators give.
--
-- Looked into a few times a second, for addresses from which an account has not been seen today; while it is empty no country is
-- judged. What an account is known for is forgotten after 90 days without it.

create table address_country (
    network cidr primary key,
    country text not null check (country ~ '^[A-Z]{2}$') -- ISO 3166-1; the longest network of an address counts
);
create index address_country_network on address_country using gist (network inet_ops);
create index address_country_country on address_country (country, network);
comment on table address_country is 'Which country an address is in';

create table breaker_country (
    cell       smallint not null,
    account_id bigint not null references account (id) on delete cascade,
    country    text not null,
    first_on   date not null,                -- UTC
    last_on    date not null,
    primary key (cell, account_id, country)
);
create index breaker_country_last on breaker_country (cell, last_on);
comment on table breaker_country is 'From which countries an account has sent';
