#ifndef STORAGE_ACCEPT_BATCH_H
#define STORAGE_ACCEPT_BATCH_H
/* accept_batch: the transaction that makes messages ours.  Inside storage only; accept.c decides what goes together. */
#include "storage/accept.h"

/*
 * All messages in one transaction, set-based.  Fills entry_id before, uid and uidvalidity after.  Repeats itself on
 * CONFLICT, and on UNCERTAIN until it is known how it ended (or ACCEPT_PATIENCE_MS passed).
 */
AWAITS enum db_write accept_batch_run(struct accept_message **messages, unsigned count)
    __attribute__((warn_unused_result));

#define ACCEPT_PATIENCE_MS 60000

#endif
