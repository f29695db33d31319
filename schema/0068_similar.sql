-- Posthouse, migration 68: held messages of an account that are like each other, so that they are decided about together.
--
-- A group is its first message; an entry of the queue says in which group it is, once somebody has looked (storage/similar.c).

create table similar_group (
    cell       smallint not null,            -- the account's
    id         bigint not null,
    account_id bigint not null references account (id) on delete cascade,
    hash       bigint not null,              -- of the first; similar ones differ in few bits (protocols/similar.c)
    subject    text,                         -- of the first
    message_id bigint not null,
    primary key (cell, id)
);
create index similar_group_account on similar_group (cell, account_id);
comment on table similar_group is 'Held messages of an account that are like each other';

alter table queue_entry add similar_id bigint; -- similar_group.id, of what is held for the account that sent it
create index queue_entry_ungrouped on queue_entry (cell, id) where held_by in ('breaker', 'compromised') and similar_id is null;
create index queue_entry_similar on queue_entry (similar_id, id) where similar_id is not null;

alter table queue_action add similar_id bigint; -- of the filter
