#ifndef STORAGE_DELETION_H
#define STORAGE_DELETION_H
/*
 * deletion: what it means for mail that is still to be delivered that its reader has deleted his copy.  Inside storage
 * only: mailbox_write.c and mailbox_tree.c ask when items go.
 *
 * The domain that it is for says (continuity_policy.deleted_mail): it is delivered anyway (the default), it is not, or
 * somebody is asked.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"
#include "storage/status.h"

struct db_unit;

#define DELETION_ITEMS_MAX 2500 /* in one transaction: who removes more does it in parts */

struct deletion_wish { /* of a domain */
    int64_t domain_id;
    bool ask; /* else it is not delivered */
    int64_t until_ms;
    const char *then;
};
struct deletion {
    int64_t *entries;                    /* that may be meant */
    const struct deletion_wish **wishes; /* of each */
    unsigned count;
    bool many; /* of a whole mailbox: there may be more than `entries` has */
};
/*
 * What is to be looked at when items of a mailbox go: these UIDs, or all (uids NULL).  NONE: nothing.  FAILED: nothing
 * may go, as it cannot be told.
 */
AWAITS enum db_status deletion_find(struct arena *arena, int64_t mailbox_id, const int64_t *uids, unsigned count,
                                    struct deletion *out) __attribute__((warn_unused_result));
/* Behind the steps that remove the items, in their transaction. */
void deletion_add(struct db_unit *unit, int64_t mailbox_id, const struct deletion *deletion);

#endif
