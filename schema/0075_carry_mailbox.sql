-- Posthouse, migration 75: mailboxes that were made in an outage are made at the primary, also those that are empty.
--
-- A row of carry of kind mailbox has the mailbox's id as its message_id: both are from one row of numbers (core/id.h).  outage_report says
-- how far mailboxes are looked through, by id; mailboxes_to is null when all are.

alter table carry
    drop constraint carry_kind_check,
    add constraint carry_kind_check check (kind in ('delivered', 'made', 'sent', 'mailbox'));
alter table outage_report add mailboxes_to bigint default 0;
