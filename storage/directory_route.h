#ifndef STORAGE_DIRECTORY_ROUTE_H
#define STORAGE_DIRECTORY_ROUTE_H
/*
 * directory_route: where a domain's mail goes, and who may have it.  Not remembered by the cache: it costs a
 * connection to a server anyway, one to a hop that was just replaced begins a back-off, and a right that is taken away
 * is gone.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/delivery_policy.h"
#include "storage/status.h"

struct directory_hop {
    const char *host;
    unsigned port;
    unsigned priority;
    unsigned weight;       /* of a route: its share among equal priorities; 0: of a domain, in the order given */
    enum delivery_tls tls; /* of a route: at least; see runner_protection_at() */
    int64_t credential_id; /* storage/hop_credential.h; 0: nobody signs in */
    int64_t route_id;      /* whose it is; 0: a domain's own */
    struct slice sources;  /* of a route: storage/source_pool.h; empty: it does not say */
};
/* A domain's next hops, its own or its route's, in order.  NONE: it has none (mail waits). */
AWAITS enum db_status directory_hops(struct arena *arena, int64_t domain_id, struct directory_hop **out,
                                     unsigned *count) __attribute__((warn_unused_result));
/* Those of a route.  NONE: it is gone. */
AWAITS enum db_status directory_route(struct arena *arena, int64_t route_id, struct directory_hop **out,
                                      unsigned *count) __attribute__((warn_unused_result));
/* Of a route that is everybody's, by its name. */
AWAITS enum db_status directory_route_named(struct arena *arena, struct slice name, struct directory_hop **out,
                                            unsigned *count) __attribute__((warn_unused_result));
/* The customer's domains with next hops that are name or below it, at most limit. */
AWAITS enum db_status directory_relayed_below(struct arena *arena, int64_t customer_id, struct slice name,
                                              unsigned limit, int64_t **ids, unsigned *count)
    __attribute__((warn_unused_result));

struct directory_collected {
    int64_t id;
    struct slice name;
};
/* The domains whose mail the account collects, at most limit, by name. */
AWAITS enum db_status directory_collected(struct arena *arena, int64_t account_id, unsigned limit,
                                          struct directory_collected **out, unsigned *count)
    __attribute__((warn_unused_result));

#endif
