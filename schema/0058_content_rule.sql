-- Posthouse, migration 58: what customers want to be held, quarantined or refused for what it is.
--
-- A directory table: each worker has all of it in memory, compiled (storage/content_rule.c). changed_at tells that it is to be read.
-- All conditions that are given must hold; patterns are PCRE2.

create table content_rule (
    id                      bigint primary key,
    customer_id             bigint not null,
    domain_id               bigint,              -- null: all of the customer's
    label                   text check (length(label) between 1 and 200),
    outgoing                boolean not null,    -- what its senders send; else what comes in for it
    priority                integer not null check (priority between 0 and 1000), -- lower is asked first
    header                  text,                -- a field's name
    header_pattern          text,
    sender_pattern          text,
    recipient_pattern       text,
    attachment_name_pattern text,
    attachment_type_pattern text,
    size_over               bigint check (size_over >= 0), -- bytes
    action                  text not null check (action in ('hold', 'quarantine', 'refuse')),
    reason                  text not null check (length(reason) between 1 and 200),
    hold_seconds            bigint not null check (hold_seconds > 0),
    hold_then               text not null check (hold_then in ('release', 'reject', 'discard')),
    created_at              timestamptz not null default now(),
    changed_at              timestamptz not null default clock_timestamp(),
    constraint content_rule_customer_fkey foreign key (customer_id) references customer (id),
    constraint content_rule_domain_fkey foreign key (domain_id) references domain (id) on delete cascade,
    constraint content_rule_header check ((header is null) = (header_pattern is null)),
    constraint content_rule_condition check (num_nonnulls(header_pattern, sender_pattern, recipient_pattern,
                                                          attachment_name_pattern, attachment_type_pattern, size_over) > 0)
);
create index content_rule_customer on content_rule (customer_id, priority, id);
create index content_rule_domain on content_rule (domain_id) where domain_id is not null;
comment on table content_rule is 'The first that fits decides: storage/content_rule.h';

create trigger directory_changed after insert or update or delete on content_rule
    for each statement execute function directory_changed();
