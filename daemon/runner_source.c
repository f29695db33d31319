/*
 * runner_source: one address of a pool.
 *
 * A pool is a list of addresses of either family; each connection takes the next one, so that they are used alike.  One
 * that is not this machine's (a pool may be that of several nodes) is passed over: the kernel is asked by binding a
 * socket to it, which costs less than the connection that follows.  If no address is left, or none of the family that the
 * next hop has, there is no connection: what a pool is for (who is let in by whom, whose reputation it is) would be lost
 * by going from another.
 *
 * An IPv4 pool makes IPv6 addresses of next hops useless, and the other way round: the pool says from where, always.
 */
#include "daemon/runner_source.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage/source_pool.h"

static unsigned turns; /* of all pools: whoever comes takes the next */

/* FNV-1a: pools are written by administrators, who gain nothing by a collision. */
uint64_t runner_source_key(struct slice pool)
{
    uint64_t key = UINT64_C(0xcbf29ce484222325);

    if (!pool.n)
        return 0;
    for (size_t i = 0; i < pool.n; i++)
        key = (key ^ (unsigned char)pool.p[i]) * UINT64_C(0x100000001b3);
    return key && key != RUNNER_SOURCE_OF_ROUTE ? key : 1;
}

bool runner_source_fits(uint64_t key, struct slice pool)
{
    return key == RUNNER_SOURCE_OF_ROUTE || key == runner_source_key(pool);
}

static bool parse(const char *word, struct dns_address *out)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)&out->address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->address;

    *out = (struct dns_address){0};
    if (inet_pton(AF_INET, word, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        out->length = sizeof *in4;
        return true;
    }
    if (inet_pton(AF_INET6, word, &in6->sin6_addr) != 1)
        return false;
    in6->sin6_family = AF_INET6;
    out->length = sizeof *in6;
    return true;
}

static bool is_this_machines(const struct dns_address *address)
{
    int fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address->address, address->length) == 0;

    if (fd >= 0)
        close(fd);
    return bound;
}

static const struct dns_address *pick(const struct dns_address *list, unsigned count, sa_family_t family, unsigned from)
{
    for (unsigned i = 0; i < count; i++) {
        const struct dns_address *address = &list[(from + i) % count];

        if (address->address.ss_family == family && is_this_machines(address))
            return address;
    }
    return NULL;
}

bool runner_source_choose(struct arena *arena, struct slice pool, struct runner_source *out)
{
    struct dns_address *list;
    unsigned count = 0;
    char *rest;

    *out = (struct runner_source){.key = runner_source_key(pool)};
    if (!pool.n)
        return true;
    list = arena_array(arena, SOURCE_POOL_MAX, sizeof *list);
    rest = arena_slicedup(arena, pool);
    for (char *word; count < SOURCE_POOL_MAX && (word = strsep(&rest, " "));)
        count += parse(word, &list[count]);
    out->four = count ? pick(list, count, AF_INET, turns) : NULL;
    out->six = count ? pick(list, count, AF_INET6, turns) : NULL;
    turns++;
    return out->four || out->six;
}

unsigned runner_source_suits(const struct runner_source *source, struct dns_address *addresses, unsigned count)
{
    unsigned suits = 0;

    if (!source->key)
        return count;
    for (unsigned i = 0; i < count; i++) {
        struct dns_address moving = addresses[i];

        if (!(moving.address.ss_family == AF_INET6 ? source->six : source->four))
            continue;
        for (unsigned k = i; k > suits; k--)
            addresses[k] = addresses[k - 1];
        addresses[suits++] = moving;
    }
    return suits;
}
