#ifndef STORAGE_PROVISION_CARRYING_H
#define STORAGE_PROVISION_CARRYING_H
/* provision_carrying: what waits to be carried to a domain's primary (carry.h), as administrators see it. */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define PROVISION_CARRYING_MAX 1000 /* messages that are counted of an account */

struct provision_carrying {
    int64_t account_id;
    struct slice address; /* {NULL,0}: it is gone */
    int64_t waiting;
    int64_t since_ms, next_ms; /* the oldest; when the next is tried, or when who is at it must be done */
    struct slice reason;       /* of the next one: why it is not done, or not all of it; {NULL,0} */
};
/* By accounts, of PROVISION_CARRYING_MAX messages each at most. */
AWAITS enum db_status provision_carrying_list(struct arena *arena, int64_t domain_id, int64_t after, unsigned limit,
                                      struct provision_carrying **out, unsigned *count) __attribute__((warn_unused_result));

#endif
