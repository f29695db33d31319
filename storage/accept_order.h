#ifndef STORAGE_ACCEPT_ORDER_H
#define STORAGE_ACCEPT_ORDER_H
/* accept_order: mail of an outage goes into an INBOX behind what was accepted before it.  Inside storage only. */
#include "storage/accept.h"

/*
 * Before the transaction: shows what waits for the same readers; where it cannot, takes the mailbox from the entry, and
 * outage_show() shows both, the older first.
 */
AWAITS void accept_order(struct arena *arena, struct accept_message *const *messages, unsigned count);

#endif
