#ifndef RELAY_ROUTE_OWN_H
#define RELAY_ROUTE_OWN_H
/* route_own: MX hosts that are this very server by their addresses (RFC 5321 5.1); by its name: route.h. */
#include <stdbool.h>

#include "core/task.h"
#include "relay/route.h"

/*
 * Before hop `at` of a route by MX is tried: if it is the first of its preference, and one of that preference leads here,
 * they all go, with those that are less preferred.  True: so it is.
 */
AWAITS bool route_cut_own(struct arena *arena, struct route *route, unsigned at);

#endif
