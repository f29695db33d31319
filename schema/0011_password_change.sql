-- Posthouse, migration 11: a new hash of a password is no change of what is remembered (storage/cache.c).
--
-- Secrets are not remembered, and hashes of other systems are replaced at the next login: thousands of times after an import, each
-- of which dropped what all workers knew.

drop trigger directory_changed on account;
create trigger directory_changed after insert or delete or update of id, cell, customer_id, domain_id, address, state, inbox_id
    on account for each statement execute function directory_changed();
