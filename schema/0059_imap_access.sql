-- Posthouse, migration 59: the way into the mailboxes of a domain's primary, and what is carried there.
--
-- carry is a list of work now: of each message that was delivered, made or sent here during an outage, what is still to be done
-- at the primary. A worker that has a row moves due_at ahead; one that dies leaves it to whoever comes then, who looks first.

create table imap_access (
    domain_id     bigint primary key references domain (id) on delete cascade,
    host          text not null check (length(host) between 1 and 255),
    port          integer not null check (port between 1 and 65535),
    tls           text not null check (tls in ('starttls', 'implicit')),
    sign_in       text not null check (sign_in in ('master', 'authorization')),
    credential_id bigint not null,
    created_at    timestamptz not null default now(),
    constraint imap_access_credential_fkey foreign key (credential_id) references hop_credential (id)
);
create index imap_access_credential on imap_access (credential_id);
comment on table imap_access is 'How the mailboxes of a domain''s users at its primary are reached, with a credential that may act for each of them';

create trigger directory_changed after insert or update or delete on imap_access
    for each statement execute function directory_changed();

alter table carry
    drop constraint carry_kind_check,
    add constraint carry_kind_check check (kind in ('delivered', 'made', 'sent')),
    drop constraint carry_state_check,
    add constraint carry_state_check check (state in ('waiting', 'kept')),
    add attempts integer not null default 0,
    add sent_as  bigint,                     -- the id of the message that it is sent as, where there is no imap_access
    add note     text;                       -- why it could not be done, or not all of it
