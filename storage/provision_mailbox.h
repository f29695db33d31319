#ifndef STORAGE_PROVISION_MAILBOX_H
#define STORAGE_PROVISION_MAILBOX_H
/* provision_mailbox: the mailboxes that an account is made with: INBOX, Drafts, Sent, Trash, Junk.  Inside storage only. */
#include <stdint.h>

struct db_unit;

/* A step behind the one that inserts the accounts, of one cell.  Ids that are no account's are passed over. */
void provision_mailbox_add(struct db_unit *unit, const int64_t *account_ids, const int64_t *inbox_ids, unsigned count);

#endif
