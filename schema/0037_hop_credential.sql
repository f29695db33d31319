-- Posthouse, migration 37: what we sign in with at next hops.
--
-- A secret is sealed by the program, under a key that is in a file of each node and never here, and bound to its row and column:
-- bytes that are moved to another row do not open.

create table hop_credential (
    id         bigint primary key,
    name       text not null check (length(name) between 1 and 200),
    kind       text not null check (kind in ('password')),
    user_name  text not null check (length(user_name) between 1 and 255),
    mechanism  text check (mechanism in ('scram-sha-256', 'scram-sha-1', 'plain', 'login')), -- null: the best that both sides know
    tls        text not null check (tls in ('encrypt', 'verify')), -- what a connection must be before the secret is used
    secret     bytea not null check (length(secret) between 38 and 8192),
    version    integer not null default 1,   -- counts changes of what is said to the server
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    constraint hop_credential_name_key unique (name)
);
comment on table hop_credential is 'What we sign in with at next hops; secrets are sealed under a key that is not in the database';

alter table next_hop
    add credential_id bigint,                -- null: nobody signs in
    add constraint next_hop_credential_fkey foreign key (credential_id) references hop_credential (id);
create index next_hop_credential on next_hop (credential_id);
alter table route_hop
    add credential_id bigint,
    add constraint route_hop_credential_fkey foreign key (credential_id) references hop_credential (id);
create index route_hop_credential on route_hop (credential_id);

create trigger directory_changed after insert or update or delete on hop_credential
    for each statement execute function directory_changed();
