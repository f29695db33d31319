#ifndef STORAGE_ACCEPT_QUEUE_H
#define STORAGE_ACCEPT_QUEUE_H
/* accept_queue: the queue entries of messages that are being accepted.  Only for accept_batch.c. */
#include "storage/accept_event.h"

/* Adds its step, if there are entries.  Each has its entry_id. */
void accept_queue_add(struct arena *arena, const struct accept_place *entries, unsigned n, struct db_unit *unit);

#endif
