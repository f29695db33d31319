/*
 * runner_hop: from a destination to an open connection: its hosts (runner_route.c), and of each its addresses.
 *
 * A walk goes over hops and, within each, addresses, IPv6 and IPv4 in turn and raced (core/stream_race.c).  It stands
 * where the last attempt ended, so that a lane whose connection was cut goes on with the next address or host instead
 * of beginning again.
 *
 * One attempt is bounded: ADDRESSES_MAX are shared out among the hosts, but each has ADDRESSES_LEAST, one of each family,
 * so that a host of many dead addresses does not keep those behind it from their turn (RFC 5321 5.1: all are tried, in
 * order, two addresses at least).  A route has ROUTE_HOPS_MAX hosts at most.
 *
 * What cannot be reached is AWAY, which is retried for as long as mail lives.  REFUSED is for destinations that
 * do not exist: here a domain that has neither MX nor address.
 *
 * How long a greeting may take differs: RFC 5321 4.5.3.2.1 gives five minutes, and strangers get them.  A relay
 * domain's primary gets connect_timeout: its users read their mail here while it hangs.
 */
#include <stdio.h>

#define LOG_MODULE "runner"
#include "core/log.h"
#include "core/secret.h"
#include "daemon/hop_login.h"
#include "daemon/runner_hop.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_protect.h"
#include "daemon/runner_source.h"
#include "daemon/runner_tlsrpt.h"
#include "relay/route_own.h"
#include "storage/hop_credential.h"

#define ADDRESSES_MAX 8
#define ADDRESSES_LEAST 2

/* It could not be reached.  What another host lacked, is what there is to be told. */
static void say_unreached(struct runner_walk *walk, const char *why, const char *status)
{
    walk->unreached = true;
    if (!walk->unmet)
        runner_walk_say(walk, why, status);
}

/* How many of the current host's addresses are tried. */
static unsigned share(const struct runner_walk *walk)
{
    unsigned each = ADDRESSES_MAX / (walk->route.count - walk->hop);

    each = each > ADDRESSES_LEAST ? each : ADDRESSES_LEAST;
    return walk->address_count < each ? walk->address_count : each;
}

/* Addresses of walk's hop. */
static AWAITS enum runner_hop find_addresses(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    const char *host = walk->route.hops[walk->hop].host;

    walk->remote = (struct runner_remote){host, NULL};
    walk->address = walk->address_count = 0;
    switch (dns_addresses(arena, host, &walk->addresses, &walk->address_count)) {
    case DNS_FOUND:
        if (!runner_transport_ask(arena, key, walk)) {
            walk->address_count = 0;
            return RUNNER_HOP_AWAY;
        }
        walk->address_count = share(walk);
        return RUNNER_HOP_OPEN;
    case DNS_FAILED:
        walk->address_count = 0;
        say_unreached(walk, arena_printf(arena, "%s: its address could not be looked up", host), "4.4.3");
        return RUNNER_HOP_AWAY;
    case DNS_NONE: break;
    }
    walk->address_count = 0;
    if (key->kind == ROUTE_MX && slice_equal_nocase(slice_str(host), key->domain)) { /* neither MX nor address */
        runner_walk_say(walk, arena_printf(arena, "%s: no such domain", host), "5.1.2");
        return RUNNER_HOP_REFUSED;
    }
    say_unreached(walk, arena_printf(arena, "%s: no such host", host), "4.4.4");
    return RUNNER_HOP_AWAY;
}

/* Nobody but the pool's owner is to wait for it: the host has done nothing wrong. */
static void no_source(struct arena *arena, struct runner_walk *walk, bool other_family)
{
    const struct route_hop *hop = &walk->route.hops[walk->hop];
    struct slice pool = hop->sources.n ? hop->sources : walk->sources;
    const char *what = other_family ? "none of the source addresses is of its family"
                                    : "none of the source addresses is this machine's";

    log_error(what, log_str("host", hop->host), log_int("port", hop->port), log_slice("sources", pool));
    walk->unmet = walk->unreached = true;
    walk->secured = (struct runner_secured){0}; /* nothing was connected to */
    runner_walk_say(walk, arena_printf(arena, "%s:%u: %s (%.*s)", hop->host, hop->port, what, SLICE_ARG(pool)),
                    "4.3.5");
}

/* A host that may not have the message is not to have our password either. */
static bool may_sign_in(const struct smtp_client *client, void *arg)
{
    const struct runner_walk *walk = arg;
    struct runner_lack lack;

    return runner_protection_met(client, walk->protection, &lack);
}

struct runner_remote runner_remote_of(struct arena *arena, const struct smtp_client *client)
{
    return (struct runner_remote){arena_strdup(arena, smtp_client_host(client)),
                                  arena_strdup(arena, smtp_client_peer(client))};
}

static struct runner_remote remote_of(struct arena *arena, const char *host, const struct dns_address *address)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (address)
        stream_address_text(&address->address, text);
    return (struct runner_remote){host, *text ? arena_strdup(arena, text) : NULL};
}

/* The route is to send in clear, and the message must not go so: nothing is connected to. */
static void refuse_clear(struct arena *arena, struct runner_walk *walk, const struct route_hop *hop,
                         enum runner_protection wanted)
{
    walk->unmet = true;
    walk->secured = (struct runner_secured){0};
    walk->why = slice_str(arena_printf(arena, "%s:%u: the message requires TLS, and its route is to send in clear",
                                       hop->host, hop->port));
    walk->status = wanted == RUNNER_PROTECTION_REQUIRETLS ? SLICE("5.7.10") : SLICE("4.7.10");
}

/* Those that are left of the host's, as far as the source addresses suit them.  False: none, and it is said why. */
static bool find_target(struct arena *arena, struct runner_walk *walk, const struct route_hop *hop,
                        struct runner_source *source, struct smtp_client_target *target)
{
    *target = (struct smtp_client_target){.host = hop->host,
                                          .port = hop->port,
                                          .addresses = walk->addresses + walk->address,
                                          .count = walk->address_count - walk->address};
    if (runner_source_choose(arena, hop->sources.n ? hop->sources : walk->sources, source) &&
        (target->count = runner_source_suits(source, target->addresses, target->count)))
        return true;
    if (!walk->address) /* else those that suit have been tried */
        no_source(arena, walk, source->four || source->six);
    return false;
}

/* A connection is there.  False: not for this mail; it is given up. */
static AWAITS bool take_open(struct arena *arena, struct runner_walk *walk, const struct route_hop *hop,
                             struct smtp_client **client)
{
    struct runner_lack lack;

    if (runner_protection_met(*client, walk->protection, &lack))
        return true;
    log_info("next hop may not have it", log_str("host", hop->host), log_int("port", hop->port),
             log_str("reason", lack.why));
    walk->unmet = true;
    walk->secured = runner_secured_of(*client);
    walk->why = slice_str(arena_printf(arena, "%s:%u: %s", hop->host, hop->port, lack.why));
    walk->status = lack.status;
    smtp_client_quit(client);
    return false;
}

/* Moves walk->address behind those that were tried. */
static AWAITS bool try_addresses(struct arena *arena, const struct route_key *key, struct runner_walk *walk,
                                 struct smtp_client **out)
{
    const struct runner_settings *settings = runner_settings();
    const struct route_hop *hop = &walk->route.hops[walk->hop];
    enum runner_protection wanted = runner_protection_at(walk->protection, hop->tls);
    struct smtp_client_target target;
    struct runner_source source;
    struct slice why;

    if (hop->tls == DELIVERY_TLS_NONE && wanted != RUNNER_PROTECTION_CLEAR) {
        refuse_clear(arena, walk, hop, wanted);
        walk->address = walk->address_count;
        return false;
    }
    if (!find_target(arena, walk, hop, &source, &target)) {
        walk->address = walk->address_count;
        return false;
    }
    struct smtp_client_settings client = {
        .hostname = settings->hostname,
        .tls = wanted == RUNNER_PROTECTION_CLEAR ? NULL : runner_tls(wanted == RUNNER_PROTECTION_VERIFIED),
        .verify_tls = wanted == RUNNER_PROTECTION_VERIFIED,
        .chunking = settings->chunking,
        .doubtful = hop->doubtful,
        .announced = walk->announced,
        .dane = walk->dane,
        .connect_timeout_ms = settings->connect_timeout_ms,
        .greeting_timeout_ms = key->kind == ROUTE_DOMAIN ? settings->connect_timeout_ms : settings->reply_timeout_ms,
        .reply_timeout_ms = settings->reply_timeout_ms,
        .end_timeout_ms = settings->data_timeout_ms,
        .source4 = source.four,
        .source6 = source.six,
        .source_key = hop->sources.n ? RUNNER_SOURCE_OF_ROUTE : source.key,
        .primary = hop->primary,
        .configured = hop->configured,
        .tls_level = hop->tls,
        .may_sign_in = may_sign_in,
        .may_sign_in_arg = walk,
    };
    runner_count.connections++;
    bool open = hop_login_open(arena, hop->credential_id, &client, &target, out, &why);
    walk->address += target.tried;
    walk->remote = remote_of(arena, hop->host, walk->address ? &walk->addresses[walk->address - 1] : NULL);
    if (open) {
        runner_tlsrpt_session(arena, key, walk, *out);
        return take_open(arena, walk, hop, out);
    }
    log_info("next hop does not serve", log_str("host", hop->host), log_int("port", hop->port),
             log_slice("reason", why));
    say_unreached(walk, arena_printf(arena, "%s:%u: %.*s", hop->host, hop->port, SLICE_ARG(why)),
                  client.credential_refused ? "4.7.8" : "4.4.1"); /* RFC 4954 section 6 */
    return false;
}

enum runner_hop runner_hop_next(struct arena *arena, const struct route_key *key, struct runner_walk *walk,
                                struct smtp_client **out)
{
    enum runner_hop found;

    *out = NULL;
    if (!walk->begun) {
        *walk = (struct runner_walk){.protection = walk->protection, .sources = walk->sources};
        if ((found = runner_route_find(arena, key, walk)) != RUNNER_HOP_OPEN)
            return found;
        walk->begun = true;
        if ((found = find_addresses(arena, key, walk)) == RUNNER_HOP_REFUSED)
            return found;
    }
    for (;;) {
        if (walk->address < walk->address_count) {
            if (try_addresses(arena, key, walk, out))
                return RUNNER_HOP_OPEN;
            continue;
        }
        if (++walk->hop >= walk->route.count ||
            (key->kind == ROUTE_MX && route_cut_own(arena, &walk->route, walk->hop)))
            break;
        /* Whatever is wrong with this host, there may be others. */
        (void)!find_addresses(arena, key, walk);
    }
    return RUNNER_HOP_AWAY;
}

/* Is the lane's connection signed in as its hop says now?  If that cannot be asked: it is. */
static AWAITS bool is_signed_in(struct runner_lane *lane)
{
    const struct route_key *route = &lane->destination->route;
    struct hop_credential_hop hop = {.domain_id = route->kind == ROUTE_DOMAIN ? route->domain_id : 0,
                                     .route_id = route->kind == ROUTE_NAMED ? route->route_id : 0,
                                     .route_name =
                                         route->kind == ROUTE_DEFAULT ? runner_settings()->default_route_name : NULL,
                                     .host = smtp_client_host(lane->client),
                                     .port = smtp_client_port(lane->client)};
    int64_t wanted, has;
    int version, had;

    if (!hop.domain_id && !hop.route_id && !hop.route_name)
        return true;
    if (hop_credential_of(lane->arena, &hop, &wanted, &version) == DB_FAILED)
        return true;
    has = smtp_client_credential_id(lane->client, &had);
    return has == wanted && had == version;
}

bool runner_client_spent(const struct smtp_client *client, const struct runner_entry *first)
{
    unsigned most = runner_limits(first->recipient).messages;

    return most && smtp_client_mails(client) >= most;
}

bool runner_client_fits(struct runner_lane *lane, const struct runner_entry *first, const struct runner_walk *walk)
{
    struct runner_lack lack;

    return !runner_client_spent(lane->client, first) && runner_protection_met(lane->client, walk->protection, &lack) &&
           is_signed_in(lane) && runner_source_fits(smtp_client_source_key(lane->client), walk->sources);
}
