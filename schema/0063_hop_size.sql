-- Posthouse, migration 63: what next hops have said at EHLO that they take (SIZE, RFC 1870), for the door to know.
--
-- Remembered for an hour; a row for each destination that was connected to lately and takes less than we do.

create table hop_size (
    destination text primary key check (length(destination) between 1 and 1100),
    size_max    bigint not null check (size_max >= 0), -- octets; 0: a host of it has no limit
    learned_at  timestamptz not null default now()
);
create index hop_size_by_age on hop_size (learned_at);
