-- Posthouse, migration 14: addresses that are somebody's without being listed: subaddresses, what a catch-all takes, the
-- addresses of a domain that is another one's second name.
--
-- What of these an address is, is found out by the look-up itself (storage/directory.c): user+detail is user if nobody
-- has that very address.

alter table domain drop constraint domain_kind_check;
alter table domain
    add subaddress_separator text not null default '+', -- each of its characters ends the user's name; '': none does
    add catch_all text,                      -- takes what no other name takes; lower case; null: nobody does
    add target_id bigint,                    -- of an alias: the domain whose second name it is
    add constraint domain_kind check (kind in ('hosted', 'relay', 'alias')),
    add constraint domain_separator check (length(subaddress_separator) <= 2),
    add constraint domain_catch_all check (catch_all is null or kind = 'hosted'),
    add constraint domain_target check ((kind = 'alias') = (target_id is not null)),
    add constraint domain_target_fkey foreign key (target_id) references domain (id);
create index domain_target on domain (target_id) where target_id is not null;
comment on column domain.kind is 'hosted: mail ends in our mailboxes, or at next_hop for names that are not here; relay: it goes on to '
    'next_hop, and is held while those are away; alias: each of its addresses is the same name in the target';
comment on column domain.target_id is 'Never an alias itself, so there are no circles: provision_domain.c keeps the rule, kinds are for good';
