#ifndef STORAGE_PROVISION_ROUTE_H
#define STORAGE_PROVISION_ROUTE_H
/* provision_route: routes, next hops under a name.  See provision.h. */
#include "storage/directory_route.h"
#include "storage/provision.h"

#define PROVISION_ROUTE_HOPS_MAX 16

struct provision_route {
    int64_t id, customer_id; /* customer_id 0: everybody's */
    struct slice name;
    struct directory_hop *hops; /* in order; at least one, at most PROVISION_ROUTE_HOPS_MAX */
    unsigned hop_count;
    struct slice sources; /* storage/source_pool.h; empty: it does not say */
    int64_t created_ms;
};

/* Given: name, customer_id, hops, sources. */
AWAITS enum db_write provision_route_create(struct arena *arena, const struct provision_route *route,
                                            const struct provision_actor *actor, int64_t *id,
                                            struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* key: an id in letters, or a name. */
AWAITS enum db_status provision_route_get(struct arena *arena, struct slice key, struct provision_route *out)
    __attribute__((warn_unused_result));
/* customer_id 0: of all.  FOUND also when it is empty. */
AWAITS enum db_status provision_route_list(struct arena *arena, int64_t customer_id, const struct provision_page *page,
                                           struct provision_route **out, unsigned *count)
    __attribute__((warn_unused_result));
/* Its next hops, as a whole, and sources; what waits for them is due at once. */
AWAITS enum db_write provision_route_update(struct arena *arena, const struct provision_route *route,
                                            const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* Refused while a rule or a domain names it.  What waits for it goes another way (storage/queue_reroute.h). */
AWAITS enum db_write provision_route_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                            struct provision_refusal *refusal) __attribute__((warn_unused_result));

struct db_unit;
/* Refuses the transaction unless the route is the customer's, or everybody's.  customer_id 0: everybody's only. */
void provision_route_require(struct db_unit *unit, int64_t route_id, int64_t customer_id);

#endif
