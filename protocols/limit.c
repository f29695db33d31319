/*
 * limit: how much may come from one address and from one network.
 *
 * An address is an IPv4 address or an IPv6 /64: what one customer has.  A network is what one operator, or one rented rack, has: by
 * default an IPv4 /24 and an IPv6 /48.  Its limits catch who spreads over many addresses what one of them may not.
 *
 * The node is what is protected, and each node counts for itself (doc/DESIGN.md tells why).
 *
 * Nothing here waits: it is asked on the loop, when a connection comes, and memory answers.  What is counted does not grow with
 * strangers (core/rate.c).  What a limit refuses is not counted, so whoever goes on trying gets as much as the limit, not nothing.
 */
#include "protocols/limit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "core/cidr.h"
#include "core/rate.h"
#include "storage/allow.h"

enum kind { ADDRESS_CONNECTIONS = 1, NETWORK_CONNECTIONS, ADDRESS_MESSAGES, ADDRESS_RECIPIENTS };

static struct limit_settings settings;

void limit_set(const struct limit_settings *s)
{
    settings = *s;
}

const struct limit_settings *limit_get(void)
{
    return &settings;
}

/* ------------------------------------------------------------------ who it is */

/* "192.0.2.0/24", without the bits behind the length. */
static void print_block(int family, const unsigned char *address, unsigned bits, char *out, size_t size)
{
    unsigned char bytes[16] = {0};
    char text[INET6_ADDRSTRLEN];

    memcpy(bytes, address, bits / 8);
    if (bits % 8)
        bytes[bits / 8] = address[bits / 8] & (unsigned char)(0xff << (8 - bits % 8));
    snprintf(out, size, "%s/%u", inet_ntop(family, bytes, text, sizeof text), bits);
}

void limit_client(const char *peer, struct limit_client *out)
{
    char plain[INET6_ADDRSTRLEN];
    struct in_addr four;
    struct in6_addr six;

    *out = (struct limit_client){.peer = peer};
    snprintf(out->address, sizeof out->address, "%.63s", peer);
    if (!cidr_plain_address(peer, plain))
        return;
    if (inet_pton(AF_INET, plain, &four) == 1) {
        out->loopback = ntohl(four.s_addr) >> 24 == 127;
        snprintf(out->address, sizeof out->address, "%s", plain);
        print_block(AF_INET, (unsigned char *)&four, settings.network_ipv4, out->network + 1, sizeof out->network - 1);
    } else {
        inet_pton(AF_INET6, plain, &six);
        out->loopback = IN6_IS_ADDR_LOOPBACK(&six);
        print_block(AF_INET6, six.s6_addr, 64, out->address, sizeof out->address);
        print_block(AF_INET6, six.s6_addr, settings.network_ipv6, out->network + 1, sizeof out->network - 1);
    }
    out->network[0] = '=';
}

bool limit_exempt(const struct limit_client *client)
{
    return client->loopback || allow_covers(client->peer, 0);
}

/* ------------------------------------------------------------------ how much it is */

static bool take(const struct limit_client *client, enum kind kind, const char *name, unsigned per_minute)
{
    return client->loopback || rate_take(kind, name, per_minute) || limit_exempt(client);
}

bool limit_address_connection(const struct limit_client *client)
{
    return take(client, ADDRESS_CONNECTIONS, client->address, settings.address_connections);
}

bool limit_network_connection(const struct limit_client *client)
{
    return !*client->network || take(client, NETWORK_CONNECTIONS, client->network, settings.network_connections);
}

bool limit_message(const struct limit_client *client)
{
    return take(client, ADDRESS_MESSAGES, client->address, settings.address_messages);
}

bool limit_recipient(const struct limit_client *client)
{
    return take(client, ADDRESS_RECIPIENTS, client->address, settings.address_recipients);
}
