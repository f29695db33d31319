-- Posthouse, migration 7: a subscription is to a name (RFC 3501 6.3.6).
--
-- It was an attribute of the mailbox and went with it. A name that is subscribed to stays so when its mailbox is deleted or
-- renamed, until the client takes it back. CREATE no longer subscribes: what nobody asked for would then stay for ever.

create table subscription (
    cell       smallint not null,
    account_id bigint not null,
    name       text not null,                -- as in mailbox; perhaps there is no mailbox of that name (any more)
    primary key (cell, account_id, name)
);
comment on table subscription is 'What LSUB lists. No foreign key: names outlive mailboxes; goes with the account';

insert into subscription (cell, account_id, name) select cell, account_id, name from mailbox where subscribed;
alter table mailbox drop column subscribed;

-- RENAME makes the names of inferiors longer; one that has become too long stays as it is.
alter table mailbox add constraint mailbox_name_form check (octet_length(name) <= 500) not valid;
