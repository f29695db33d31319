#ifndef DAEMON_HEALTH_H
#define DAEMON_HEALTH_H
/*
 * health: what this worker meets at primaries, told to all nodes (storage/health.h), and primaries that want to be
 * looked at while they are well.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "relay/health.h"

/*
 * Costs nothing while it says nothing new.  probed: why is what a probe found.  What cannot be written now is met
 * again, or comes with the next.
 */
AWAITS void health_note(int64_t domain_id, enum health_outcome outcome, struct slice why, bool probed);

/*
 * A message was answered: taken for somebody, put off for somebody ({NULL,0}: for nobody), and how long the slowest of
 * its replies took.
 */
AWAITS void health_delivery(int64_t domain_id, bool taken, struct slice put_off, unsigned slowest_ms);

struct health_probe {
    bool answers;              /* mail may go */
    enum health_outcome found; /* GOOD, WEAK or FAILED */
    struct slice why;          /* what was found, in words or in the server's */
};
/*
 * Connects, is greeted, EHLO, NOOP; with a probe address also MAIL and RCPT, and RSET: no mail.  Nobody signs in at a
 * host that may not have the domain's mail.
 */
AWAITS void health_probe(struct arena *arena, int64_t domain_id, struct slice domain, struct health_probe *out);
/* Probes while it is away.  Seconds between them are the domain's or the configuration's. */
AWAITS unsigned health_probe_interval_ms(int64_t domain_id);

/* So many answers in a row, and an outage may be over.  Not known: 1. */
AWAITS unsigned health_up_after(int64_t domain_id);

/* The last that was heard of it is that it fails.  Not known: false. */
AWAITS bool health_is_down(int64_t domain_id);

/* Looks after the cells that this worker has, for ever. */
AWAITS void health_for_ever(void *unused);

struct health_counters {
    uint64_t probes, probes_failed, changes;
};
void health_counters(struct health_counters *out);

#endif
