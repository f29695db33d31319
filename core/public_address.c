/*
 * public_address: where a request that a stranger chose the address of may not go.
 *
 * Networks that are not anybody's (the registries of RFC 6890): who makes us ask there asks with our place in the
 * network, of hosts that believe it.  Forms of IPv6 that carry an IPv4 address are refused whole, whatever address it
 * is: none belongs to a server that speaks IPv6 itself.
 *
 * It has to be asked of the address that is connected to, not of one that a name had a moment before.
 */
#include "core/public_address.h"

#include <stdlib.h>

#include "core/cidr.h"

static const char others[] =
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 "
    "192.168.0.0/16 198.18.0.0/15 224.0.0.0/3 ::/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/32 2002::/16 "
    "fc00::/7 fe80::/10 fec0::/10 ff00::/8";

bool public_address(const struct sockaddr *address)
{
    static struct cidr_list list;
    char error[200];

    if (!list.count && !cidr_list_parse(others, &list, error, sizeof error))
        abort();
    return (address->sa_family == AF_INET || address->sa_family == AF_INET6) && !cidr_list_contains(&list, address);
}
