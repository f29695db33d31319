#ifndef STORAGE_PROVISION_OUTAGE_H
#define STORAGE_PROVISION_OUTAGE_H
/* provision_outage: how the queue of an outage that is open is to be drained, for the administration API. */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"
#include "storage/provision.h"
#include "storage/status.h"

struct provision_drain {
    bool fast;         /* over all connections at once, whatever the primary takes to answer */
    bool newest_first; /* else in the order of acceptance */
};

/* NONE: there is no such outage, or it has ended. */
AWAITS enum db_status provision_outage_drain(struct arena *arena, int64_t id, struct provision_drain *out)
    __attribute__((warn_unused_result));
/* GONE: it has ended meanwhile. */
AWAITS enum db_write provision_outage_set_drain(struct arena *arena, int64_t id, const struct provision_drain *drain,
                                                const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
