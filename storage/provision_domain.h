#ifndef STORAGE_PROVISION_DOMAIN_H
#define STORAGE_PROVISION_DOMAIN_H
/* provision_domain: domains, what their names are worth, and their next hops.  See provision.h. */
#include <stdbool.h>

#include "storage/directory.h"
#include "storage/directory_route.h"
#include "storage/provision.h"

#define PROVISION_HOPS_MAX 32

struct provision_domain {
    int64_t id, customer_id;
    struct slice name;
    enum directory_kind kind;
    struct directory_hop *hops; /* in order */
    unsigned hop_count;
    int64_t route_id;                /* instead of hops of its own; 0: none */
    struct slice route;              /* its name */
    int64_t target_id;               /* of an alias: whose second name it is */
    struct slice target;             /* that domain's name */
    struct slice separator;          /* at most two characters; empty: no subaddresses */
    struct slice catch_all;          /* {NULL,0}: none */
    struct slice recipients;         /* which are valid: "any", "listed", "learned" */
    struct slice unknown_while_away; /* learned: "defer" or "accept" */
    struct slice accepts_all; /* learned: does its primary take every recipient? "true", "false"; {NULL,0}: not known */
    int64_t collector_id;     /* an account of the customer, which may have all that waits (ATRN); 0: none */
    struct slice collector;   /* its address */
    int64_t outage_id;        /* 0: its primary is not known to be away */
    int64_t created_ms;
};

/* What changes; zeroed but for what is given. */
struct provision_domain_change {
    bool hops_given;
    const struct directory_hop *hops;
    unsigned hop_count;
    bool route_given;
    int64_t route_id;                            /* 0: none */
    int64_t target_id;                           /* 0: as it is */
    struct slice separator;                      /* {NULL,0}: as it is */
    struct slice recipients, unknown_while_away; /* {NULL,0}: as it is */
    bool collector_given;
    int64_t collector_id; /* 0: none */
    bool catch_all_given;
    struct slice catch_all; /* {NULL,0}: none */
};

/*
 * The kind is for good: what is queued, held or filed already depends on it.  Of wanted all but what the database
 * makes; a separator, recipients and unknown_while_away of {NULL,0} are the default.
 */
AWAITS enum db_write provision_domain_create(struct arena *arena, const struct provision_domain *wanted,
                                             const struct provision_actor *actor, int64_t *id,
                                             struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* key: an id in letters, or a name. */
AWAITS enum db_status provision_domain_get(struct arena *arena, struct slice key, struct provision_domain *out)
    __attribute__((warn_unused_result));
/* customer_id 0: of all. FOUND also when it is empty. */
AWAITS enum db_status provision_domain_list(struct arena *arena, int64_t customer_id, const struct provision_page *page,
                                            struct provision_domain **out, unsigned *count)
    __attribute__((warn_unused_result));
/*
 * New next hops replace the old ones, and what waits is due at once; a route is as good as next hops, and there is one
 * of them.  A hosted domain loses its last only when nothing waits, a relay domain only if it has a collector.
 */
AWAITS enum db_write provision_domain_change(struct arena *arena, const struct provision_domain *domain,
                                             const struct provision_domain_change *change,
                                             const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* Refused while accounts, aliases or queued mail belong to it. */
AWAITS enum db_write provision_domain_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                             struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
