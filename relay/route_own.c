/*
 * route_own: asks for the addresses of hosts before they are tried, group after group.
 *
 * Who is equally preferred may be the one that would send it here, so a group is looked at as a whole before its first
 * host is tried; later groups only when it comes to them, as mostly the first is all that is needed.  A host that cannot
 * be looked up is left: it cannot be connected to either.
 */
#include "relay/route_own.h"

#include <arpa/inet.h>

#include "core/dns.h"
#include "core/own_address.h"

static AWAITS bool leads_here(struct arena *arena, const struct route_hop *hop)
{
    struct dns_address *addresses = NULL;
    unsigned count = 0;

    if (dns_addresses(arena, hop->host, &addresses, &count) != DNS_FOUND)
        return false;
    for (unsigned i = 0; i < count; i++) {
        struct sockaddr_storage address = addresses[i].address;

        if (address.ss_family == AF_INET6)
            ((struct sockaddr_in6 *)&address)->sin6_port = htons((uint16_t)hop->port);
        else
            ((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)hop->port);
        if (own_address((const struct sockaddr *)&address))
            return true;
    }
    return false;
}

AWAITS bool route_cut_own(struct arena *arena, struct route *route, unsigned at)
{
    if (at >= route->count || (at > 0 && route->hops[at - 1].priority == route->hops[at].priority))
        return false;
    for (unsigned i = at; i < route->count && route->hops[i].priority == route->hops[at].priority; i++)
        if (leads_here(arena, &route->hops[i])) {
            route->count = at;
            return true;
        }
    return false;
}
