#ifndef STORAGE_PROVISION_QUEUE_H
#define STORAGE_PROVISION_QUEUE_H
/*
 * provision_queue: what an administrator decides about a queue entry.  See provision.h; storage/hold.h has what
 * becomes of it.
 *
 * A decision is made for entries that are in nobody's memory: one that is being delivered at this moment is IN_USE.
 * It is durable when this returns DONE; the worker that holds the cell carries it out within about a second.
 */
#include "storage/hold.h"
#include "storage/provision.h"

/* Nobody delivers it before hold->until_ms. */
AWAITS enum db_write provision_queue_hold(struct arena *arena, int64_t id, const struct hold *hold,
                                          const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* A held one: it goes on. */
AWAITS enum db_write provision_queue_release(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                             struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* Its sender gets it back. */
AWAITS enum db_write provision_queue_reject(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                            struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
