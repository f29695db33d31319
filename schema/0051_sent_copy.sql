-- Posthouse, migration 51: what an account has sent in an outage of its domain, and what its mail program filed itself.

create table sent_copy (
    cell       smallint not null,
    account_id bigint not null,
    digest     bytea not null,               -- SHA-256 of the Message-ID
    message_id bigint not null,              -- the copy; its item is the row of mailbox_message with these two
    mailbox_id bigint not null,
    outage_id  bigint not null,
    submitted  boolean not null,             -- it was sent; false: so far a mail program has only filed it
    filed_by   text not null check (filed_by in ('relay', 'client')),
    filed_at   timestamptz not null default now(),
    primary key (cell, account_id, digest)
);
create index sent_copy_outage on sent_copy (cell, outage_id);
create index sent_copy_filed on sent_copy (cell, filed_at);
comment on table sent_copy is 'One row for each message in a mailbox Sent that an outage has made: that there is one copy of it, and which';
