-- Posthouse, migration 41: next hops that are shown a certificate.

alter table hop_credential drop constraint hop_credential_kind_check;
alter table hop_credential drop constraint hop_credential_oauth;
alter table hop_credential
    alter user_name drop not null,
    add certificate text check (length(certificate) between 1 and 32768), -- PEM, with what leads to an authority; its key is the secret
    add constraint hop_credential_kind_check check (kind in ('password', 'oauth', 'certificate')),
    add constraint hop_credential_members check (case kind
        when 'oauth' then num_nulls(user_name, token_url, client_id) = 0 and certificate is null
        when 'certificate' then num_nulls(certificate, secret) = 0 and num_nonnulls(user_name, mechanism, token_url, client_id, scope) = 0
        else num_nulls(user_name, secret) = 0 and num_nonnulls(token_url, client_id, scope, certificate) = 0 end);
