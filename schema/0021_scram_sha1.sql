-- Posthouse, migration 21: keys for SCRAM-SHA-1, beside those for SCRAM-SHA-256.

alter table account
    add scram_sha1 text;                     -- RFC 5803 form; made from the same password while [auth] scram_sha1 is on
