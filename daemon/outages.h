#ifndef DAEMON_OUTAGES_H
#define DAEMON_OUTAGES_H
/*
 * outages: relay domains whose primary is away, from the first failure to the last held message's delivery.
 *
 * Any worker that finds a primary away opens the outage; the worker that holds the domain's cell runs it: shows
 * what waits, probes, drains, closes.  storage/outage.h has the rows, from which another worker goes on.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"
#include "core/task.h"

void outages_init(void);
enum outages_answer {
    OUTAGES_OPEN,       /* it is open, and its probes tell when the primary is back */
    OUTAGES_FORBIDDEN,  /* the domain is forced up: it is tried again as any destination */
    OUTAGES_UNRECORDED, /* nobody will probe */
};
/* A delivery found none of the domain's next hops.  Opens an outage unless one is open, and shows what waits. */
AWAITS enum outages_answer outages_away(int64_t domain_id, struct slice why) __attribute__((warn_unused_result));
/* The same for another reason: detection as outage_open() has it. */
AWAITS void outages_begin(int64_t domain_id, struct slice reason, const char *detection);
/* For outages.c: nothing that was accepted before is left for the destination; what is due is claimed. */
AWAITS bool outages_even(int64_t domain_id, struct slice key, int64_t back_ms);
/* And: with so many probes it has answered often enough to count as up. */
AWAITS bool outages_answered(int64_t domain_id, struct slice key, unsigned probes);
/* And: shows what waits, for a while.  *fresh_from: see storage/outage_show.h; 0 at first. */
enum outages_shown {
    OUTAGES_SHOWN_ALL,
    OUTAGES_SHOWN_PART,  /* there is more, for the next turn */
    OUTAGES_SHOWN_LATER, /* it could not be done */
};
AWAITS enum outages_shown outages_show_waiting(int64_t domain_id, int64_t *fresh_from);
unsigned outages_running(void);
/* The domain has an outage that this worker knows of, or it could not know: mail for it may have an account and copies since. */
bool outages_may_show(int64_t domain_id);
/* The cells that are ours and whose outages are known: only there may be claimed, or a drain would lose its order. */
unsigned outages_cells(int16_t cells[]); /* ID_CELLS */

#endif
