-- Posthouse, migration 60: links by which the owner of an account sets his password.
--
-- A directory table.  The secrets are ours (256 random bits), so a plain digest is enough; storage/provision_invitation.c.

create table invitation (
    id           bigint primary key,
    account_id   bigint not null,
    token_sha256 bytea not null,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz not null,       -- the first moment when it is over
    constraint invitation_account_key unique (account_id), -- a new one takes the place of the last
    constraint invitation_token_key unique (token_sha256),
    constraint invitation_account_fkey foreign key (account_id) references account (id) on delete cascade
);
create index invitation_expires on invitation (expires_at);
comment on table invitation is 'Who has the token may set the account''s password, once, until it expires';
