-- Posthouse, migration 22: who collects a domain's mail (ATRN, RFC 2645).
alter table domain
    add collector_id bigint references account (id) on delete set null;
create index domain_collector on domain (collector_id) where collector_id is not null;
comment on column domain.collector_id is 'An account of the same customer that may have all waiting mail of the domain; null: nobody';
