-- Posthouse, migration 3: more states of an account.
--
--                  signs in to send   sends   receives                       reads by IMAP, POP3
--   active         yes                yes     yes                            yes
--   suspended      no                 no      no (550 5.2.1)                 no
--   receive-only   yes                no      yes                            yes
--   send-only      yes                yes     no (550 5.2.1)                 no
--   closed         no                 no      no (550 5.1.1, as nobody)      no; its address stays taken
--
-- A suspended customer suspends its accounts.

alter table account drop constraint account_state_check;
alter table account add constraint account_state_check
    check (state in ('active', 'suspended', 'receive-only', 'send-only', 'closed'));
