-- Posthouse, migration 57: held mail is shown to its owner, in folders of his account.
--
-- The folders are mailboxes, marked by their role, and are made with the first message that they show. `held` marks the items in
-- them, so that those which are to go are found without looking at all others.

alter table mailbox add role text check (role in ('held', 'quarantine')); -- null: its account's own
create unique index mailbox_role_key on mailbox (cell, account_id, role) where role is not null;

alter table mailbox_message add held boolean not null default false; -- it is shown while it is held
create index mailbox_message_held on mailbox_message (cell, mailbox_id, uid) where held;

alter table continuity_policy
    add show_held         boolean,           -- to its owner, in the folder Held
    add show_quarantine   boolean,           -- the same, in Quarantine
    add owner_may_release text check (owner_may_release in ('nothing', 'held', 'quarantine', 'both'));
