#ifndef DAEMON_RUNNER_AWAY_H
#define DAEMON_RUNNER_AWAY_H
/*
 * runner_away: a destination that cannot be reached, in all cells together.
 */
#include "daemon/runner_memory.h"

/* Does another worker hold it back by plan?  Nothing has failed that would have told this one. */
AWAITS void runner_look_for_plan(struct runner_destination *d);
/* Is it known, here or in the database, that it cannot be reached now, so that only a probe may try? */
AWAITS bool runner_is_away(struct runner_destination *destination);
/* It cannot be reached: tells the database (and opens an outage), gives back what is pending. */
AWAITS void runner_mark_away(struct runner_destination *destination, unsigned cell, struct slice why);
/*
 * It is away, and mail of this cell is about to wait for it: the cell's row is to say so, too.  claimed: it did not, or
 * that mail would not be here.
 */
AWAITS void runner_join_away(struct runner_destination *destination, unsigned cell, bool claimed);
/* An entry was claimed as a probe: the database says that the destination is away. */
void runner_note_failing(struct runner_destination *destination);
/* It has answered to a message of this cell; taken: it has taken it. */
AWAITS void runner_mark_good(struct runner_destination *destination, unsigned cell, bool taken);
/* Somebody else has found it back. */
void runner_note_back(struct runner_destination *destination);
/* A probe of it is over.  told: as the destination's was when it began; if nothing was told since, it came to nothing. */
AWAITS void runner_probe_over(struct runner_destination *destination, unsigned told);

#endif
