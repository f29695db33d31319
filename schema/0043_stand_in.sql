-- Posthouse, migration 43: one of a domain's accounts is drawn by a number, each as likely as any other.

create index account_stand_in on account (domain_id, hashint8(id));
drop index account_domain; -- the new one begins as it did
