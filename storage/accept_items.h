#ifndef STORAGE_ACCEPT_ITEMS_H
#define STORAGE_ACCEPT_ITEMS_H
/* accept_items: what of the messages that are being accepted goes into mailboxes.  Only for accept_batch.c. */
#include "storage/accept_event.h"

struct accept_items {
    struct accept_place *list; /* the caller's, in any order until they are sorted */
    unsigned count;
    struct accept_share {
        int64_t id;
        int32_t n;
    } * shares; /* how many go into each mailbox, by id */
    unsigned share_count;
    unsigned uid_step;
};

/* Two addresses of one account in an outage are two queue entries, but one copy in its INBOX. */
void accept_items_sort(struct arena *arena, struct accept_items *items);
/* Adds its steps, if there are items. */
void accept_items_add(struct arena *arena, struct accept_items *items, struct db_unit *unit);
/* The unit is done: fills in uid and uidvalidity. */
void accept_items_took(struct accept_items *items, const struct db_unit *unit);
/* The transaction had been committed before: which UIDs did it take?  Should that fail, 0 stays: "unknown". */
AWAITS void accept_items_find(struct arena *arena, struct accept_message *const *messages, unsigned count,
                              struct accept_items *items);

#endif
