-- Posthouse, migration 49: accounts that are there for the time that a primary is away.
--
-- One more state, beside those of 0003, for accounts in relay domains only:
--
--                  signs in to send   sends   receives                       reads by IMAP, POP3
--   continuity     yes                yes     what its primary cannot take   yes
--
-- It does not make its address valid: the domain's list, or its primary, does.

alter table account drop constraint account_state_check;
alter table account add constraint account_state_check
    check (state in ('active', 'suspended', 'receive-only', 'send-only', 'closed', 'continuity'));
create index account_continuity on account (customer_id, domain_id) where state = 'continuity';

alter table continuity_policy
    add accounts     text check (accounts in ('none', 'known')), -- who gets an account when an outage opens
    add accounts_max integer check (accounts_max between 1 and 1000000);

-- What is held on purpose is not shown in an outage; who looks for what is to be shown would step over it again and again.
drop index queue_entry_unshown;
create index queue_entry_unshown on queue_entry (cell, domain_id, id)
    where not shown and account_id is not null and held_until is null;
