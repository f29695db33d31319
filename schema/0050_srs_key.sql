-- Posthouse, migration 50: the keys of addresses that forwarded mail is sent under (SRS, relay/srs.h).
--
-- A few rows for all: a new key comes by itself now and then, and the old ones are still good for what is on its way back.

create table srs_key (
    id      bigint generated always as identity primary key,
    key     bytea not null check (length(key) = 32),
    made_at timestamptz not null default now()
);
insert into srs_key (key)
    select decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
comment on table srs_key is 'Secrets of all nodes: who knows one can make us send mail from the null sender to anybody';

create trigger directory_changed after insert or update or delete on srs_key
    for each statement execute function directory_changed();
