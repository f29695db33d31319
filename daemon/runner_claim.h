#ifndef DAEMON_RUNNER_CLAIM_H
#define DAEMON_RUNNER_CLAIM_H
/*
 * runner_claim: what comes from the database: claims, leases, and what time brings.
 */
#include "core/id.h"
#include "daemon/runner_memory.h"
#include "storage/queue.h"

AWAITS void runner_claim_for_ever(void *arg);
AWAITS void runner_renew_for_ever(void *arg);
AWAITS void runner_expire_for_ever(void *arg);
/* Claims soon. */
void runner_claim_kick(void *unused);
bool runner_claims_empty(void); /* none is under way, and what was claimed to be bounced is */
void runner_claims_add(int n);
/* The database failed us; and: it has answered for long enough. */
void runner_trouble(void);
bool runner_calm(void);
/* Of this worker, now: a copy, as node_cells() is valid until the next wait only. */
unsigned runner_cells(int16_t cells[ID_CELLS]);
/*
 * Not pending.  NULL: it is in memory already, at work or delivered and about to be recorded.  One that is being given
 * back may be claimed before the task that gave it back hears so; it then stands here twice for a moment, which is
 * right.
 */
struct runner_entry *runner_entry_claimed(const struct queue_entry *q);

/* ------------------------------------------------------------------ suspended, late */

/*
 * Holds what is suspended of what was just claimed, and takes it out of the list.  True: some is held, and others may
 * be next.
 */
AWAITS bool runner_suspend_claimed(struct arena *arena, struct queue_entry *list, unsigned *count);
/* Those that wait in memory, and no lane has. */
AWAITS void runner_suspend_pending(void);
/* Deals with those that are late (RFC 2852), in memory and pending. */
AWAITS void runner_late_pending(void);

#endif
