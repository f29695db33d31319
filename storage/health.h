#ifndef STORAGE_HEALTH_H
#define STORAGE_HEALTH_H
/*
 * health: how domains' primaries are, as all nodes know it.  What the states mean and how they follow each other is the
 * caller's (relay/health.h, as words and counts here); what administrators say of it is storage/provision_health.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

struct health_row {
    int64_t domain_id, changes; /* changes: 0, there is no row */
    struct slice state;
    unsigned failures, weak, successes;
};
/* FOUND also when nothing is known: "up". */
AWAITS enum db_status health_read(struct arena *arena, int64_t domain_id, struct health_row *out)
    __attribute__((warn_unused_result));

struct health_change {
    struct health_row was; /* as it was read */
    struct slice state;
    unsigned failures, weak, successes;
    struct slice why;
    bool probed; /* by a probe: why is what it found */
};
/* A change of state is an event, and told.  *done false: another was first: read again. */
AWAITS enum db_write health_write(const struct health_change *change, bool *done) __attribute__((warn_unused_result));

/* ------------------------------------------------------------------ what is to be done, in these cells */

struct health_task {
    int64_t domain_id;
    struct slice domain;
    enum { HEALTH_TASK_OPEN, HEALTH_TASK_SETTLE, HEALTH_TASK_PROBE, HEALTH_TASK_UNFORCE, HEALTH_TASK_WINDOW } kind;
    struct slice reason, detection; /* OPEN: an outage is to be opened */
};
/*
 * OPEN: it is forced down, absent, or down by probes, and no outage is open.  SETTLE: it is recovering and none is
 * open: who closed it died.  PROBE: it is well, and wants to be looked at.  UNFORCE: it is not forced any more, as the
 * time is over, and that is to be told.  WINDOW: a maintenance window has begun or ended, and that is.
 */
AWAITS enum db_status health_tasks(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                                   struct health_task **out, unsigned *count) __attribute__((warn_unused_result));
/* UNFORCE; whoever forces it meanwhile is left alone. */
AWAITS enum db_write health_unforce(int64_t domain_id) __attribute__((warn_unused_result));
/* WINDOW. */
AWAITS enum db_write health_tell_window(int64_t domain_id) __attribute__((warn_unused_result));

#endif
