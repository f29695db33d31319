#ifndef STORAGE_ACCEPT_EVENT_H
#define STORAGE_ACCEPT_EVENT_H
/* accept_event: the first events of messages that are being accepted.  Only for accept_batch.c. */
#include "storage/accept.h"
#include "storage/db.h"

/* One recipient with its message, for walking all of a batch. */
struct accept_place {
    struct accept_message *message;
    struct accept_recipient *recipient;
};

/* items: what goes into mailboxes. */
void accept_event_add(struct arena *arena, struct accept_message *const *list, unsigned count,
                      const struct accept_place *items, unsigned item_count, struct db_unit *unit);

#endif
