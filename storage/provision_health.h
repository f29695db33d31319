#ifndef STORAGE_PROVISION_HEALTH_H
#define STORAGE_PROVISION_HEALTH_H
/* provision_health: a domain's health as it is shown, what happened to it, and forcing it.  See provision.h. */
#include <stdbool.h>

#include "storage/provision.h"

struct provision_health {
    struct slice state, why;
    int64_t since_ms; /* INT64_MIN: nothing was met yet */
    int64_t failures, weak, successes;
    int64_t failing_since_ms, probed_ms;
    struct slice probe_outcome;
    struct slice forced, force_reason; /* {NULL,0}: it is not, or no longer */
    int64_t force_until_ms;
    int64_t outage_id;    /* that is open; 0: none */
    struct slice absence; /* kind of the absence that is on; {NULL,0}: none */
    int64_t absent_until_ms;
};
/* FOUND also for one of which nothing is known. */
AWAITS enum db_status provision_health_get(struct arena *arena, int64_t domain_id, struct provision_health *out)
    __attribute__((warn_unused_result));
/* forced: "up", "down", or {NULL,0} for none.  until_ms INT64_MIN: until it is changed. */
AWAITS enum db_write provision_health_force(struct arena *arena, int64_t domain_id, struct slice forced,
                                            struct slice reason, int64_t until_ms, const struct provision_actor *actor,
                                            struct provision_refusal *refusal) __attribute__((warn_unused_result));

struct provision_health_event {
    int64_t id, at_ms, outage_id; /* outage_id 0: none */
    struct slice type, detail;
};
/* Newest first, older than `before` (0: from the newest). */
AWAITS enum db_status provision_health_events(struct arena *arena, int64_t domain_id, int64_t before, unsigned limit,
                                              struct provision_health_event **out, unsigned *count)
    __attribute__((warn_unused_result));

#endif
