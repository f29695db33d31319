-- Posthouse, migration 5: each mailbox has a UIDVALIDITY that no other has or had.
--
-- It was the second in which the mailbox was made, so one that was deleted and made again at once, or renamed to the name of
-- another of the same second, had the same value with other messages behind its UIDs (RFC 3501 2.3.1.1). The numbers go
-- on from the clock's, so that they are larger than any that was given before; 32 bits last for two billion mailboxes.

create sequence mailbox_uidvalidity;
select setval('mailbox_uidvalidity', greatest(extract(epoch from now())::bigint, max(uidvalidity))) from mailbox;
alter table mailbox alter column uidvalidity set default nextval('mailbox_uidvalidity');
