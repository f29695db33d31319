-- Posthouse, migration 40: next hops that are signed in at with tokens of an OAuth server (RFC 6749).
--
-- The token that is used, and the refresh token that may change with each use, are in a table of their own: they change by
-- themselves, and that is no change of the directory. All nodes share them; who asks for a new one claims the row before.

alter table hop_credential drop constraint hop_credential_kind_check;
alter table hop_credential drop constraint hop_credential_mechanism_check;
alter table hop_credential
    alter secret drop not null,                                   -- of kind oauth: the client's, if it has one
    add token_url text check (length(token_url) between 1 and 1000),
    add client_id text check (length(client_id) between 1 and 500),
    add scope     text check (length(scope) between 1 and 1000),
    add constraint hop_credential_kind_check check (kind in ('password', 'oauth')),
    add constraint hop_credential_mechanism_check
        check (mechanism in ('scram-sha-256', 'scram-sha-1', 'plain', 'login', 'oauthbearer', 'xoauth2')),
    add constraint hop_credential_oauth check (case kind
        when 'oauth' then token_url is not null and client_id is not null
        else secret is not null and num_nonnulls(token_url, client_id, scope) = 0 end);

create table hop_token (
    credential_id bigint primary key references hop_credential (id) on delete cascade,
    refresh_token bytea check (length(refresh_token) between 38 and 16384), -- sealed; null: by client credentials
    access_token  bytea check (length(access_token) between 38 and 16384),  -- sealed; null: there is none now
    expires_at    timestamptz,
    renew_at      timestamptz,               -- a new one is asked for while this one is still good
    claimed_until timestamptz,               -- somebody is asking
    failures      integer not null default 0,
    failed_until  timestamptz,               -- nobody asks before
    failure       text                       -- why not, of the last time
);
comment on table hop_token is 'Tokens of credentials of kind oauth, sealed like their secrets';
