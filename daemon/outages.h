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
/*
 * A delivery found none of the domain's next hops.  Opens an outage unless one is open, and shows what waits.  False:
 * it could not be recorded, so nobody will probe.
 */
AWAITS bool outages_away(int64_t domain_id, struct slice why) __attribute__((warn_unused_result));
unsigned outages_running(void);
/* The cells that are ours and whose outages are known: only there may be claimed, or a drain would lose its order. */
unsigned outages_cells(int16_t cells[]); /* ID_CELLS */

#endif
