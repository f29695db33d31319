#ifndef RELAY_ROUTE_H
#define RELAY_ROUTE_H
/*
 * route: from a destination key and what was looked up for it to the hosts to try, in order.  Pure.
 *
 * Results live in the caller's arena; host names are those given (not copied).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/dns.h"
#include "core/slice.h"
#include "storage/directory.h"
#include "storage/directory_route.h"

#define ROUTE_SMTP_PORT 25
#define ROUTE_HOPS_MAX 16 /* more than that are not tried in one attempt */

enum route_kind { ROUTE_DOMAIN, ROUTE_NAMED, ROUTE_DEFAULT, ROUTE_MX, ROUTE_MAILBOX, ROUTE_TO };

/* A destination key taken apart (storage/queue.h makes them). */
struct route_key {
    enum route_kind kind;
    int64_t domain_id;   /* ROUTE_DOMAIN */
    int64_t route_id;    /* ROUTE_NAMED */
    struct slice domain; /* ROUTE_MX; ROUTE_TO: the hosts, see route_to.h; points into the key */
};
bool route_parse_key(struct slice destination, struct route_key *out) __attribute__((warn_unused_result));

struct route_hop {
    const char *host;
    unsigned port;
    bool doubtful; /* an MX record named it that DNSSEC does not vouch for: its name proves nothing (RFC 8689 4.2.1) */
    bool primary;  /* of a relay domain: among the first in order */
    enum delivery_tls tls; /* of a route: at least */
    struct slice sources;  /* of a route: the addresses that it is connected to from; empty: it does not say */
    unsigned priority;     /* or an MX record's preference */
    int64_t credential_id; /* 0: nobody signs in */
    bool configured;       /* not by MX */
};
struct route {
    struct route_hop *hops;
    unsigned count;
};

enum route_answer {
    ROUTE_FOUND,
    ROUTE_NO_HOPS, /* nothing is configured: mail waits */
    ROUTE_NULL_MX, /* RFC 7505: the domain takes no mail (556 5.1.10) */
    ROUTE_LOOPS,   /* we are its best MX, and it is none of our domains (5.4.6) */
};

/*
 * Next hops by priority.  Equal ones: by chance, each comes first among them as often as its weight is of theirs
 * together; those without a weight in the order given.  The same seed gives the same order.
 */
enum route_answer route_from_hops(struct arena *arena, const struct directory_hop *hops, unsigned count, uint64_t seed,
                                  struct route *out) __attribute__((warn_unused_result));
/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 4.1.3), in any case.  NO_HOPS: it is none. */
enum route_answer route_from_literal(struct arena *arena, struct slice domain, struct route *out)
    __attribute__((warn_unused_result));
/*
 * RFC 5321 5.1: MX hosts by preference, equal ones shuffled by seed; if our own name is among them, it goes with all
 * that are equally or less preferred.  count 0: the domain itself is its MX (implicit MX; the caller then finds
 * whether it has an address).
 */
enum route_answer route_from_mx(struct arena *arena, const char *domain, const struct dns_mx *mx, unsigned count,
                                const char *own_name, uint64_t seed, struct route *out)
    __attribute__((warn_unused_result));

#endif
