#ifndef STORAGE_ACCEPT_ORDER_H
#define STORAGE_ACCEPT_ORDER_H
/* accept_order: mail of an outage goes into an INBOX behind what was accepted before it.  Inside storage only. */
#include "storage/accept.h"

/*
 * Before the transaction: takes the mailbox from entries of domains where older mail is not shown yet; outage_show()
 * shows both, the older first.
 */
AWAITS void accept_order(struct arena *arena, struct accept_message *const *messages, unsigned count);

#endif
