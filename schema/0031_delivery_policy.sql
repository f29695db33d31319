-- Posthouse, migration 31: how long, and how often, mail to a domain is tried, where that is not as the settings say.
--
-- A directory table: each worker has all of it in memory (storage/delivery_policy.c).  Null: as the setting.  Times are
-- seconds.

create table delivery_policy (
    id           bigint primary key,
    domain       text not null,              -- of recipients; lower case, A-labels, no final dot
    lifetime     integer check (lifetime between 1 and 2592000),
    delay_notice integer check (delay_notice between 0 and 2592000),  -- after acceptance; 0: never
    retry_first  integer check (retry_first between 1 and 86400),
    retry_max    integer check (retry_max between 1 and 604800),
    label        text check (length(label) between 1 and 200),
    created_at   timestamptz not null default now(),
    constraint delivery_policy_domain_key unique (domain),
    constraint delivery_policy_retry check (retry_first <= retry_max)
);
comment on table delivery_policy is 'How mail to a domain is tried, where that is not as the settings say';

create trigger directory_changed after insert or update or delete on delivery_policy
    for each statement execute function directory_changed();
