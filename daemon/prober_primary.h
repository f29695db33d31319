#ifndef DAEMON_PROBER_PRIMARY_H
#define DAEMON_PROBER_PRIMARY_H
/*
 * prober_primary: one lane's talk with a domain's primary.  For daemon/prober.c.
 *
 * The struct is the lane's, on its stack; the arena is reset by the lane between two questions.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"
#include "daemon/prober.h"
#include "relay/verify.h"

struct tls;
struct smtp_client;

struct prober_primary {
    const struct prober_settings *settings;
    struct tls *tls;
    struct prober_counters *counters;
    struct arena *arena;
    int64_t domain_id;
    struct smtp_client *client; /* NULL: none is open; one that was idle may turn out to be dead */
};

/* Over the connection that is open, else, or when that is dead, over a new one.  False: no primary can be reached. */
AWAITS bool prober_primary_ask(struct prober_primary *primary, const char *address, enum verify_told *told)
    __attribute__((warn_unused_result));
/*
 * Writes it down for all nodes; UNTOLD is nothing to be written.  Asks again, whether the primary takes everything, where that
 * is not known: who waits for the answer is to be told before.
 */
AWAITS void prober_primary_learn(struct prober_primary *primary, const char *address, enum verify_told told);

#endif
