-- Posthouse, migration 67: where at the primary a copy has been put, so that it is put there once; and whose turn it is.
--
-- carry_place has a row for each copy that is at the primary as it is here, or was as of modseq.  It goes with its row of carry.

create table carry_place (
    cell         smallint not null,
    account_id   bigint not null,
    message_id   bigint not null,
    mailbox_id   bigint not null,            -- the copy here; it may be gone since
    uid          bigint not null,
    modseq       bigint not null,            -- of the copy, as it was told
    target       text not null,              -- the mailbox there, as its server spells it
    uid_validity bigint not null,            -- 0: the server has not told
    uid_there    bigint not null,            -- the same
    primary key (cell, account_id, message_id, mailbox_id, uid),
    constraint carry_place_carry_fkey foreign key (cell, account_id, message_id) references carry (cell, account_id, message_id)
        on delete cascade
);
comment on table carry_place is 'Copies that were put into the mailboxes of a primary: storage/carry_place.h';

alter table carry add holder bigint;         -- a number of the turn that somebody has; who has another one has lost it
create index carry_waiting on carry (cell, account_id, due_at, message_id) where state = 'waiting';
