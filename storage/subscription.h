#ifndef STORAGE_SUBSCRIPTION_H
#define STORAGE_SUBSCRIPTION_H
/*
 * subscription: the names that an account's mail program wants to see (RFC 3501 6.3.6, 6.3.7, 6.3.9).
 *
 * A subscription is to a name, not to a mailbox: it stays when the mailbox is deleted or gets another name, and only
 * the client takes it back.  A new account is subscribed to its first mailboxes; nothing else subscribes by itself.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/mailbox.h"
#include "storage/status.h"

/* In the order of mailbox_list(); id 0 and only the name: there is no such mailbox. */
AWAITS enum db_status subscription_list(struct arena *arena, int64_t account_id, struct mailbox **out, unsigned *count)
    __attribute__((warn_unused_result));
/* Also DONE when it was there.  REFUSED: the account has max subscriptions already. */
AWAITS enum db_write subscription_add(int64_t account_id, struct slice name, unsigned max)
    __attribute__((warn_unused_result));
/* Also DONE when it was not there. */
AWAITS enum db_write subscription_remove(int64_t account_id, struct slice name) __attribute__((warn_unused_result));

#endif
