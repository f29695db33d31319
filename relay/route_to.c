/*
 * route_to: mail that an administrator sends elsewhere.
 *
 * The hosts are the key itself, so that there is nothing to look up, nothing that could be deleted under waiting mail,
 * and what goes to the same hosts waits, is tried and backs off together.  Brackets are always there, which makes of
 * an IPv6 address a host like any other.
 */
#include "relay/route_to.h"

#include <stdio.h>

struct slice route_to_key(struct arena *arena, const struct directory_hop *hops, unsigned count)
{
    const char *key = "to:";

    for (unsigned i = 0; i < count; i++)
        key = arena_printf(arena, "%s%s[%s]:%u", key, i ? "," : "", hops[i].host, hops[i].port);
    return slice_str(key);
}

/* "[host]:port" and what separates it from the next. */
static bool parse_hop(struct arena *arena, struct slice *rest, struct route_hop *out)
{
    size_t end = 1;
    unsigned port = 0;

    if (rest->n < 2 || rest->p[0] != '[')
        return false;
    while (end < rest->n && rest->p[end] != ']')
        end++;
    if (end == 1 || end + 1 >= rest->n || rest->p[end + 1] != ':')
        return false;
    out->host = arena_slicedup(arena, slice_of(rest->p + 1, end - 1));
    *rest = slice_skip(*rest, end + 2);
    for (; rest->n && rest->p[0] >= '0' && rest->p[0] <= '9' && port < 65536; *rest = slice_skip(*rest, 1))
        port = port * 10 + (unsigned)(rest->p[0] - '0');
    out->port = port;
    return port > 0 && port < 65536;
}

bool route_to_parse(struct arena *arena, struct slice rest, struct route *out)
{
    *out = (struct route){.hops = arena_array(arena, ROUTE_TO_HOPS_MAX, sizeof *out->hops)};
    while (out->count < ROUTE_TO_HOPS_MAX && parse_hop(arena, &rest, &out->hops[out->count])) {
        out->count++;
        if (!rest.n)
            return true;
        if (rest.p[0] != ',')
            return false;
        rest = slice_skip(rest, 1);
    }
    return false;
}
