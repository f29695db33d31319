-- Posthouse, migration 70: what waits to be carried is seen, for each domain.

create index carry_waiting_domain on carry (cell, domain_id, account_id) where state = 'waiting';
