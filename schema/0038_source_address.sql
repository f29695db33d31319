-- Posthouse, migration 38: from which of our addresses mail goes out.
--
-- Words with a blank between, as cidr_plain_address() makes them; what they mean is daemon/runner_source.c's business.

alter table customer
    add source_addresses text check (source_addresses <> ''); -- null: as the system has it
alter table route
    add source_addresses text check (source_addresses <> ''); -- null: as the customer has it
