#ifndef DAEMON_RUNNER_SOURCE_H
#define DAEMON_RUNNER_SOURCE_H
/*
 * runner_source: from which of our addresses a connection is made: one of a pool, which is the route's or the customer's
 * (storage/source_pool.h).  For the runner and the prober.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/dns.h"
#include "core/slice.h"

struct runner_source {
    uint64_t key;                         /* of the pool; 0: there is none, the system chooses */
    const struct dns_address *four, *six; /* NULL: it has none of this family that is this machine's */
};

#define RUNNER_SOURCE_OF_ROUTE                                                                                         \
    UINT64_MAX /* the key of a connection from a route's pool: that of all who take the route */
/* The key of a customer's pool, given as words.  0: an empty one. */
uint64_t runner_source_key(struct slice pool);
/* May a connection with this key be used for mail of a customer with this pool? */
bool runner_source_fits(uint64_t key, struct slice pool);
/*
 * One address of each family, another one each time.  False: it is a pool, and none of it is this machine's; mail waits
 * then, it does not go from another address.
 */
bool runner_source_choose(struct arena *arena, struct slice pool, struct runner_source *out)
    __attribute__((warn_unused_result));
/* Puts those first that can be connected to from it.  How many. */
unsigned runner_source_suits(const struct runner_source *source, struct dns_address *addresses, unsigned count);

#endif
