#ifndef DAEMON_RUNNER_HOP_H
#define DAEMON_RUNNER_HOP_H
/*
 * runner_hop: from a destination to an open connection: its hosts (runner_route.c), what they have announced
 * (runner_transport.c), their addresses, one after the other; and what is remembered where none was protected well
 * enough (runner_unmet.c).
 */
#include "daemon/runner_lane.h"
#include "daemon/runner_protect.h"
#include "relay/route.h"
#include "relay/sts.h"

enum runner_hop {
    RUNNER_HOP_OPEN,
    RUNNER_HOP_AWAY,    /* none can be reached */
    RUNNER_HOP_REFUSED, /* there is no such destination: bounce */
    RUNNER_HOP_LATER,   /* it could not be found out */
    RUNNER_HOP_MOVED,   /* its route is gone: what waits for it has another destination now */
};

/* Where the search for a connection stands: hops, and of the current one its addresses. */
struct runner_walk {
    enum runner_protection protection; /* given */
    struct slice sources;              /* given: the customer's source addresses; empty: none */
    bool begun;
    struct route route;
    unsigned hop, address, address_count;
    struct dns_address *addresses;
    struct slice why, status;      /* of the last failure */
    bool unmet;                    /* a host was reached that may not have the message; why and status tell of it */
    struct runner_secured secured; /* how that was protected */
    struct runner_remote remote;   /* where the last attempt was to lead */
    bool unreached;                /* another was not, or broke off */
    /* Of the current hop. */
    struct smtp_client_announced announced;
    const struct tls_dane *dane; /* NULL: no records for it */
    /* Of all of them. */
    bool sts_asked;
    const struct sts_policy *sts; /* MTA-STS; NULL: the domain has none */
    const char *sts_why;          /* then: why, after the domain's name */
};
/*
 * Asks what the current hop, whose addresses are known, has announced, as far as walk->protection wants to know.
 * False: it is not to be used, and the walk says why.
 */
AWAITS bool runner_transport_ask(struct arena *arena, const struct route_key *key, struct runner_walk *walk);
void runner_walk_say(struct runner_walk *walk, const char *why, const char *status); /* not copied */
/* The destination's hosts, into walk->route; not OPEN: why not. */
AWAITS enum runner_hop runner_route_find(struct arena *arena, const struct route_key *key, struct runner_walk *walk);
/* MOVED: the route is gone, and so is what these cells had for it. */
AWAITS void runner_route_move(struct runner_lane *lane, struct runner_batch *batch);
/* The next address that answers.  walk: zeroed at first; its memory and the words are in the arena. */
AWAITS enum runner_hop runner_hop_next(struct arena *arena, const struct route_key *key, struct runner_walk *walk,
                                       struct smtp_client **out);

/* Has the connection had as many messages as one is to have of this recipient's domain? */
bool runner_client_spent(const struct smtp_client *client, const struct runner_entry *first);
/* May it be used for the batch that this entry is the first of, good and signed in enough, and from where it is to come? */
AWAITS bool runner_client_fits(struct runner_lane *lane, const struct runner_entry *first,
                               const struct runner_walk *walk);

/* For so long at most mail that wants the same is put off with what was found, and nobody is asked again. */
void runner_unmet_note(struct runner_destination *destination, const struct runner_walk *walk, uint64_t retry_first_ms);
/* True: that is so, and the walk says what was found. */
bool runner_unmet_recall(struct arena *arena, struct runner_destination *destination, struct runner_walk *walk);
void runner_unmet_forget(struct runner_destination *destination);

#endif
