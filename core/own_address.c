/*
 * own_address: the addresses that this server listens on.
 *
 * A few, so they are looked through.  Behind a wildcard are the machine's interfaces as they are now: they are read
 * again after INTERFACES_MS, since addresses come and go.  All of 127.0.0.0/8 is the machine, whatever the interface
 * says.
 *
 * Addresses come from strangers' zones, and there are others that lead here: the unspecified one of either family is
 * connected to as the loopback, and an IPv6 address with an IPv4 one in it (::ffff:127.0.0.1) as the latter.
 */
#include "core/own_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include "core/clock.h"

#define INTERFACES_MS 60000

static struct {
    struct sockaddr_storage address;
    bool any;
} list[OWN_ADDRESSES_MAX];
static unsigned count;

static struct ifaddrs *interfaces;
static uint64_t read_at;

void own_address_add(const char *address, unsigned port)
{
    if (count == OWN_ADDRESSES_MAX)
        return;
    struct sockaddr_in *in4 = (struct sockaddr_in *)&list[count].address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&list[count].address;

    memset(&list[count], 0, sizeof list[count]);
    if (inet_pton(AF_INET, address, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons((uint16_t)port);
        list[count++].any = in4->sin_addr.s_addr == htonl(INADDR_ANY);
    } else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        list[count++].any = IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
    }
}

static in_port_t port_of(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                          : ((const struct sockaddr_in *)address)->sin_port;
}

static bool same_host(const struct sockaddr *a, const struct sockaddr *b)
{
    const struct sockaddr_in6 *x = (const struct sockaddr_in6 *)a, *y = (const struct sockaddr_in6 *)b;

    if (a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr == ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return a->sa_family == AF_INET6 && memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
}

static bool of_this_machine(const struct sockaddr *address)
{
    uint64_t now = clock_steady_ms();

    if (address->sa_family == AF_INET &&
        ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
        return true;
    if (!interfaces || now - read_at > INTERFACES_MS) {
        if (interfaces)
            freeifaddrs(interfaces);
        interfaces = NULL;
        read_at = now;
        if (getifaddrs(&interfaces) != 0)
            interfaces = NULL;
    }
    for (const struct ifaddrs *i = interfaces; i; i = i->ifa_next)
        if (i->ifa_addr && same_host(i->ifa_addr, address))
            return true;
    return false;
}

/* What the kernel connects to. */
static const struct sockaddr *meant(const struct sockaddr *address, struct sockaddr_storage *space)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)space;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)space;

    if (address->sa_family == AF_INET6) {
        *in6 = *(const struct sockaddr_in6 *)address;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            struct sockaddr_in inside = {.sin_family = AF_INET, .sin_port = in6->sin6_port};

            memcpy(&inside.sin_addr, in6->sin6_addr.s6_addr + 12, sizeof inside.sin_addr);
            *in4 = inside;
        } else if (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr)) {
            in6->sin6_addr = in6addr_loopback;
        }
    } else if (address->sa_family == AF_INET) {
        *in4 = *(const struct sockaddr_in *)address;
    } else {
        return address;
    }
    if (space->ss_family == AF_INET && in4->sin_addr.s_addr == htonl(INADDR_ANY))
        in4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return (const struct sockaddr *)space;
}

bool own_address(const struct sockaddr *given)
{
    struct sockaddr_storage space = {0};
    const struct sockaddr *address = meant(given, &space);

    for (unsigned i = 0; i < count; i++) {
        const struct sockaddr *ours = (const struct sockaddr *)&list[i].address;

        if (ours->sa_family != address->sa_family || port_of(ours) != port_of(address))
            continue;
        if (list[i].any ? of_this_machine(address) : same_host(ours, address))
            return true;
    }
    return false;
}
