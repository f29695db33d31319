-- Posthouse, migration 23: valid recipients of a relay domain that are learned from its primary.
--
-- What was learned is nothing that an administrator set up, and comes with the mail: so it is not counted as a change of the
-- directory (0009), which would drop all that is remembered.  storage/learned.c says how old an answer may be.

alter table domain drop constraint domain_recipients_check;
alter table domain
    add constraint domain_recipients check (recipients in ('any', 'listed', 'learned')),
    add unknown_while_away text not null default 'defer' check (unknown_while_away in ('defer', 'accept'));
comment on column domain.unknown_while_away is 'learned: what becomes of an address that nobody knows while the primary cannot be asked';

create table recipient_learned (
    cell       smallint not null,
    domain_id  bigint not null references domain (id) on delete cascade,
    address    text not null,                -- lower case
    valid      boolean not null,
    learned_at timestamptz not null,
    until      timestamptz not null,         -- then it is asked again; while the primary is away it counts on
    primary key (cell, domain_id, address)
);
create index recipient_learned_state on recipient_learned (cell, domain_id, valid);
create index recipient_learned_until on recipient_learned (cell, until);
comment on table recipient_learned is 'What a primary said of an address, asked by RCPT or by delivering to it';

create table recipient_probe (
    cell        smallint not null,
    domain_id   bigint not null references domain (id) on delete cascade,
    accepts_all boolean not null,            -- it took an address that cannot exist: what it takes says nothing
    until       timestamptz not null,        -- then it is tried again
    primary key (cell, domain_id)
);
