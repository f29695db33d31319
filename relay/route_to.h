#ifndef RELAY_ROUTE_TO_H
#define RELAY_ROUTE_TO_H
/*
 * route_to: a destination that an administrator has put together: hosts, tried in the order given.  Pure.
 *
 *     to:[host]:port,[host]:port
 */
#include "relay/route.h"

#define ROUTE_TO_HOPS_MAX 4

/* The destination's key.  Hosts as name_host() makes them. */
struct slice route_to_key(struct arena *arena, const struct directory_hop *hops, unsigned count);
/* What follows "to:".  False: it is none. */
bool route_to_parse(struct arena *arena, struct slice rest, struct route *out) __attribute__((warn_unused_result));

#endif
