/*
 * runner_hop: from a destination to an open connection.
 *
 *   domain:ID   its next hops from the directory, by priority
 *   default     the smart host of the configuration
 *   to:HOSTS    where an administrator has sent it
 *   mx:NAME     MX hosts by DNS, or the name's own address (RFC 5321 5.1)
 *
 * A walk goes over hops and, within each, addresses, and stands where the last attempt ended, so that a lane whose
 * connection was cut goes on with the next host instead of beginning again.  ADDRESSES_MAX bounds one attempt.
 *
 * What cannot be reached is AWAY, which is retried for as long as mail lives.  REFUSED is for destinations that
 * do not exist: no such domain, a null MX, ourselves.  A configured host that does not resolve is AWAY: an
 * administrator's slip of the pen must not bounce a customer's mail.
 *
 * How long a greeting may take differs: RFC 5321 4.5.3.2.1 gives five minutes, and strangers get them.  A relay
 * domain's primary gets connect_timeout: its users read their mail here while it hangs.
 */
#include <stdio.h>

#define LOG_MODULE "runner"
#include "core/log.h"
#include "core/secret.h"
#include "daemon/runner_internal.h"
#include "relay/route_to.h"
#include "storage/directory.h"
#include "storage/directory_route.h"

#define ADDRESSES_MAX 8

static void say(struct runner_walk *walk, const char *why, const char *status)
{
    walk->why = slice_str(why);
    walk->status = slice_str(status);
}

/* It could not be reached.  What another host lacked, is what there is to be told. */
static void say_unreached(struct runner_walk *walk, const char *why, const char *status)
{
    walk->unreached = true;
    if (!walk->unmet)
        say(walk, why, status);
}

/* ------------------------------------------------------------------ which hosts */

static AWAITS enum runner_hop find_domain(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    struct directory_hop *hops = NULL;
    unsigned count = 0;

    switch (directory_hops(arena, key->domain_id, &hops, &count)) {
    case DB_FOUND:
    case DB_NONE: break;
    case DB_FAILED: say(walk, "the next hops could not be looked up", "4.3.0"); return RUNNER_HOP_LATER;
    }
    if (route_from_hops(arena, hops, count, &walk->route) == ROUTE_FOUND)
        return RUNNER_HOP_OPEN;
    say(walk, "the domain has no next hop", "4.4.4");
    return RUNNER_HOP_AWAY;
}

static enum runner_hop find_default(struct arena *arena, struct runner_walk *walk)
{
    const struct runner_settings *settings = runner_settings();
    struct route_hop *hop = arena_alloc(arena, sizeof *hop);

    if (!settings->default_route_host) {
        say(walk, "there is no default route any more", "4.4.4");
        return RUNNER_HOP_AWAY;
    }
    *hop = (struct route_hop){.host = settings->default_route_host, .port = settings->default_route_port};
    walk->route = (struct route){hop, 1};
    return RUNNER_HOP_OPEN;
}

static AWAITS enum runner_hop find_mx(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    const char *domain = arena_slicedup(arena, key->domain);
    struct dns_mx *mx = NULL;
    unsigned count = 0;
    uint64_t seed = (uint64_t)runner_random() << 32 | runner_random();

    if (!*domain) {
        say(walk, "no such destination", "5.4.4");
        return RUNNER_HOP_REFUSED;
    }
    switch (dns_mx(arena, domain, &mx, &count)) {
    case DNS_FOUND: break;
    case DNS_NONE: count = 0; break;
    case DNS_FAILED: say(walk, "the domain's MX could not be looked up", "4.4.3"); return RUNNER_HOP_AWAY;
    }
    switch (route_from_mx(arena, domain, mx, count, runner_settings()->hostname, seed, &walk->route)) {
    case ROUTE_FOUND: return RUNNER_HOP_OPEN;
    case ROUTE_NO_HOPS: break;
    case ROUTE_NULL_MX: say(walk, "the domain does not accept mail (null MX)", "5.1.10"); return RUNNER_HOP_REFUSED;
    case ROUTE_LOOPS: say(walk, "the domain's MX points back to this server", "5.4.6"); return RUNNER_HOP_REFUSED;
    }
    say(walk, "the domain has no mail exchanger", "5.1.2");
    return RUNNER_HOP_REFUSED;
}

static AWAITS enum runner_hop find_hosts(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    switch (key->kind) {
    case ROUTE_DOMAIN: return find_domain(arena, key, walk);
    case ROUTE_DEFAULT: return find_default(arena, walk);
    case ROUTE_MX: return find_mx(arena, key, walk);
    case ROUTE_TO:
        if (route_to_parse(arena, key->domain, &walk->route))
            return RUNNER_HOP_OPEN;
        say(walk, "no such destination", "5.4.4");
        return RUNNER_HOP_REFUSED;
    case ROUTE_MAILBOX: break; /* never asked for: runner_file.c */
    }
    return RUNNER_HOP_LATER;
}

/* ------------------------------------------------------------------ which addresses */

/* Addresses of walk's hop. */
static AWAITS enum runner_hop find_addresses(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    const char *host = walk->route.hops[walk->hop].host;

    walk->address = walk->address_count = 0;
    switch (dns_addresses(arena, host, &walk->addresses, &walk->address_count)) {
    case DNS_FOUND: return RUNNER_HOP_OPEN;
    case DNS_FAILED:
        walk->address_count = 0;
        say_unreached(walk, arena_printf(arena, "%s: its address could not be looked up", host), "4.4.3");
        return RUNNER_HOP_AWAY;
    case DNS_NONE: break;
    }
    walk->address_count = 0;
    if (key->kind == ROUTE_MX && slice_equal_nocase(slice_str(host), key->domain)) { /* neither MX nor address */
        say(walk, arena_printf(arena, "%s: no such domain", host), "5.1.2");
        return RUNNER_HOP_REFUSED;
    }
    say_unreached(walk, arena_printf(arena, "%s: no such host", host), "4.4.4");
    return RUNNER_HOP_AWAY;
}

static AWAITS bool try_address(struct arena *arena, const struct route_key *key, struct runner_walk *walk,
                               struct smtp_client **out)
{
    const struct runner_settings *settings = runner_settings();
    const struct route_hop *hop = &walk->route.hops[walk->hop];
    struct smtp_client_settings client = {
        .hostname = settings->hostname,
        .tls = walk->protection == RUNNER_PROTECTION_CLEAR ? NULL
                                                           : runner_tls(walk->protection == RUNNER_PROTECTION_VERIFIED),
        .verify_tls = walk->protection == RUNNER_PROTECTION_VERIFIED,
        .chunking = settings->chunking,
        .doubtful = hop->doubtful,
        .connect_timeout_ms = settings->connect_timeout_ms,
        .greeting_timeout_ms = key->kind == ROUTE_DOMAIN ? settings->connect_timeout_ms : settings->reply_timeout_ms,
        .reply_timeout_ms = settings->reply_timeout_ms,
        .end_timeout_ms = settings->data_timeout_ms,
        .primary = hop->primary,
    };
    struct runner_lack lack;
    struct slice why;

    runner_count.connections++;
    if (!smtp_client_open(&client, arena, &walk->addresses[walk->address], hop->port, hop->host, out, &why)) {
        log_info("next hop does not serve", log_str("host", hop->host), log_int("port", hop->port),
                 log_slice("reason", why));
        say_unreached(walk, arena_printf(arena, "%s:%u: %.*s", hop->host, hop->port, SLICE_ARG(why)), "4.4.1");
        return false;
    }
    if (runner_protection_met(*out, walk->protection, &lack))
        return true;
    log_info("next hop may not have it", log_str("host", hop->host), log_int("port", hop->port),
             log_str("reason", lack.why));
    walk->unmet = true;
    walk->why = slice_str(arena_printf(arena, "%s:%u: %s", hop->host, hop->port, lack.why));
    walk->status = lack.status;
    smtp_client_quit(out);
    return false;
}

enum runner_hop runner_hop_next(struct arena *arena, const struct route_key *key, struct runner_walk *walk,
                                struct smtp_client **out)
{
    enum runner_hop found;

    *out = NULL;
    if (!walk->begun) {
        *walk = (struct runner_walk){.protection = walk->protection};
        if ((found = find_hosts(arena, key, walk)) != RUNNER_HOP_OPEN)
            return found;
        walk->begun = true;
        if ((found = find_addresses(arena, key, walk)) == RUNNER_HOP_REFUSED)
            return found;
    }
    while (walk->tried < ADDRESSES_MAX) {
        if (walk->address < walk->address_count) {
            bool open = try_address(arena, key, walk, out);

            walk->tried++;
            walk->address++;
            if (open)
                return RUNNER_HOP_OPEN;
            continue;
        }
        if (++walk->hop >= walk->route.count)
            break;
        /* Whatever is wrong with this host, there may be others. */
        (void)!find_addresses(arena, key, walk);
    }
    walk->unreached |= walk->hop < walk->route.count; /* more than are tried at once */
    return RUNNER_HOP_AWAY;
}
