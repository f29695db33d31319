-- Posthouse, migration 18: which recipients of a relay domain are valid.
--
-- 'any': the server behind it knows.  'listed': accounts, aliases and groups of the domain, and what is listed here.

alter table domain
    add recipients text not null default 'any' check (recipients in ('any', 'listed'));
comment on column domain.recipients is 'Which addresses of what goes to its next hops are taken';

create table recipient_listed (
    domain_id  bigint not null references domain (id) on delete cascade,
    address    text not null,                -- lower case, in the domain
    created_at timestamptz not null default now(),
    primary key (domain_id, address)
);
comment on table recipient_listed is 'Valid recipients of a relay domain, as administrators list them; for domains that ask who is valid';

create trigger directory_changed after insert or update or delete on recipient_listed
    for each statement execute function directory_changed();
