#ifndef STORAGE_PROVISION_QUEUE_H
#define STORAGE_PROVISION_QUEUE_H
/*
 * provision_queue: what an administrator does to one queue entry.  See provision.h; storage/queue_act.h has the
 * actions.
 *
 * An action is taken on an entry that is in nobody's memory: one that is being delivered at this moment is IN_USE, and
 * so is one that the action does not fit.  It is durable when this returns DONE; the worker that holds the cell
 * carries it out within about a second.
 */
#include "storage/provision.h"
#include "storage/queue_act.h"

AWAITS enum db_write provision_queue_act(struct arena *arena, int64_t id, const struct queue_act *act,
                                         const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
