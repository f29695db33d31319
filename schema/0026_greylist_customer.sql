-- Posthouse, migration 26: a network earns its passes with a customer, and what one network may put into the greylist is counted.
--
-- Passes were counted by cell, so that whoever had a domain there could earn them with himself for his neighbours.  Those that are
-- there belong to nobody in particular and are dropped: networks that come again earn new ones.

delete from greylist_client;
alter table greylist_client
    add customer_id bigint not null,
    drop constraint greylist_client_pkey,
    add primary key (cell, customer_id, client);
comment on table greylist_client is
    'Networks that come again to a customer, as mail servers do; after some passes they are not greylisted any more by him';

create index greylist_waiting on greylist (cell, client) where passes = 0;
