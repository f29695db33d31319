/*
 * limit: how much may come from one address and from one network.
 *
 * An address is an IPv4 address or an IPv6 /64: what one customer has.  A network is what one operator, or one rented
 * rack, has: by default an IPv4 /24 and an IPv6 /48.  Its limits catch who spreads over many addresses what one of
 * them may not.
 *
 * The node is what is protected, and each node counts for itself (doc/DESIGN.md tells why).
 *
 * Nothing here waits: it is asked on the loop, when a connection comes, and memory answers.  What is counted does not
 * grow with strangers (core/rate.c).  What a limit refuses is not counted, so whoever goes on trying gets as much as
 * the limit, not nothing.
 */
#include "protocols/limit.h"

#include <stdio.h>
#include <string.h>

#include "core/cidr.h"
#include "core/rate.h"
#include "storage/allow.h"

enum kind {
    ADDRESS_CONNECTIONS = 1,
    NETWORK_CONNECTIONS,
    ADDRESS_MESSAGES,
    NETWORK_MESSAGES,
    ADDRESS_RECIPIENTS,
    NETWORK_RECIPIENTS,
    ADDRESS_REFUSALS,
};

#define TARPIT_FIRST_MS 250
#define TARPIT_STEPS 10

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

void limit_client(const char *peer, struct limit_client *out)
{
    char plain[INET6_ADDRSTRLEN], network[CIDR_TEXT_SIZE];

    *out = (struct limit_client){.peer = peer};
    snprintf(out->address, sizeof out->address, "%.63s", peer);
    if (!cidr_plain_address(peer, plain))
        return;
    out->loopback = strncmp(plain, "127.", 4) == 0 || strcmp(plain, "::1") == 0;
    if (strchr(plain, ':'))
        cidr_block_of(plain, 32, 64, out->address);
    else
        snprintf(out->address, sizeof out->address, "%s", plain);
    cidr_block_of(plain, settings.network_ipv4, settings.network_ipv6, network);
    snprintf(out->network, sizeof out->network, "=%.62s", network);
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

static bool take_network(const struct limit_client *client, enum kind kind, unsigned per_minute)
{
    return !*client->network || take(client, kind, client->network, per_minute);
}

bool limit_address_connection(const struct limit_client *client)
{
    return take(client, ADDRESS_CONNECTIONS, client->address, settings.address_connections);
}

bool limit_network_connection(const struct limit_client *client)
{
    return take_network(client, NETWORK_CONNECTIONS, settings.network_connections);
}

bool limit_address_message(const struct limit_client *client)
{
    return take(client, ADDRESS_MESSAGES, client->address, settings.address_messages);
}

bool limit_network_message(const struct limit_client *client)
{
    return take_network(client, NETWORK_MESSAGES, settings.network_messages);
}

bool limit_address_recipient(const struct limit_client *client)
{
    return take(client, ADDRESS_RECIPIENTS, client->address, settings.address_recipients);
}

bool limit_network_recipient(const struct limit_client *client)
{
    return take_network(client, NETWORK_RECIPIENTS, settings.network_recipients);
}

/*
 * tarpit_after and TARPIT_STEPS fit into the bucket, which empties within a minute; from tarpit_after on each doubles
 * the delay.
 */
unsigned limit_refusal(const struct limit_client *client)
{
    unsigned level, ms;

    if (!settings.tarpit_max_ms || client->loopback)
        return 0;
    level = rate_add(ADDRESS_REFUSALS, client->address, settings.tarpit_after + TARPIT_STEPS);
    if (level <= settings.tarpit_after || limit_exempt(client))
        return 0;
    ms = TARPIT_FIRST_MS << (level - settings.tarpit_after - 1);
    return ms < settings.tarpit_max_ms ? ms : settings.tarpit_max_ms;
}
