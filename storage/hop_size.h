#ifndef STORAGE_HOP_SIZE_H
#define STORAGE_HOP_SIZE_H
/*
 * hop_size: how large a message the next hops of a destination take, as one of them has said within the last hour
 * (SIZE, RFC 1870).  Of several hosts the one that takes most counts.
 *
 * Shared by all nodes; written by who connects, read at the door.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define HOP_SIZE_LIFETIME_MS (60 * 60 * 1000)

/*
 * FOUND whenever it could be asked; out: for each of the destinations; 0: not known, or no limit.  May be some seconds
 * old.
 */
AWAITS enum db_status hop_size_find(struct arena *arena, const struct slice *destinations, unsigned count,
                                    uint64_t *out) __attribute__((warn_unused_result));
/* size_max 0: no limit.  May be lost: it is learned again. */
AWAITS enum db_write hop_size_put(struct arena *arena, struct slice destination, uint64_t size_max)
    __attribute__((warn_unused_result));
/* For storage/maintenance.c. */
AWAITS enum db_write hop_size_forget(struct arena *arena) __attribute__((warn_unused_result));

#endif
