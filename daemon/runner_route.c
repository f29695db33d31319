/*
 * runner_route: which hosts a destination has, in the order in which they are tried.
 *
 *   domain:ID   its next hops from the directory, by priority
 *   route:ID    those of a route, by priority, equal ones by weight
 *   default     the smart host of the configuration, or the route that it names
 *   to:HOSTS    where an administrator has sent it
 *   mx:NAME     MX hosts by DNS, or the name's own address (RFC 5321 5.1); an address literal itself
 *
 * REFUSED is for destinations that do not exist: no such domain, a null MX, ourselves.  A destination whose hosts cannot
 * be found out is AWAY or LATER: an administrator's slip of the pen must not bounce a customer's mail.
 */
#define LOG_MODULE "runner"
#include "core/dns.h"
#include "daemon/runner_hop.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_report.h"
#include "relay/route_own.h"
#include "relay/route_to.h"
#include "storage/directory.h"
#include "storage/directory_route.h"
#include "storage/queue_reroute.h"

#define MOVE_TRIES 5
#define MOVE_PAUSE_MS 500

void runner_walk_say(struct runner_walk *walk, const char *why, const char *status)
{
    walk->why = slice_str(why);
    walk->status = slice_str(status);
}

static uint64_t random_seed(void)
{
    return (uint64_t)runner_random() << 32 | runner_random();
}

static AWAITS enum runner_hop find_domain(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    struct directory_hop *hops = NULL;
    unsigned count = 0;

    switch (directory_hops(arena, key->domain_id, &hops, &count)) {
    case DB_FOUND:
    case DB_NONE: break;
    case DB_FAILED: runner_walk_say(walk, "the next hops could not be looked up", "4.3.0"); return RUNNER_HOP_LATER;
    }
    if (route_from_hops(arena, hops, count, random_seed(), &walk->route) == ROUTE_FOUND)
        return RUNNER_HOP_OPEN;
    runner_walk_say(walk, "the domain has no next hop", "4.4.4");
    return RUNNER_HOP_AWAY;
}

/* A route that is gone is nobody's fault who sent mail: it goes another way. */
static AWAITS enum runner_hop find_named(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    struct directory_hop *hops = NULL;
    unsigned count = 0;

    switch (directory_route(arena, key->route_id, &hops, &count)) {
    case DB_FOUND: break;
    case DB_NONE: runner_walk_say(walk, "its route is gone", "4.3.0"); return RUNNER_HOP_MOVED;
    case DB_FAILED: runner_walk_say(walk, "the route could not be looked up", "4.3.0"); return RUNNER_HOP_LATER;
    }
    (void)!route_from_hops(arena, hops, count, random_seed(), &walk->route); /* it has some */
    return RUNNER_HOP_OPEN;
}

static AWAITS enum runner_hop find_default_named(struct arena *arena, const char *name, struct runner_walk *walk)
{
    struct directory_hop *hops = NULL;
    unsigned count = 0;

    switch (directory_route_named(arena, slice_str(name), &hops, &count)) {
    case DB_FOUND: break;
    case DB_NONE:
        log_error("the default route is missing: there is no such route, or it is a customer's",
                  log_str("route", name));
        runner_walk_say(walk, arena_printf(arena, "there is no route %s, which is the default", name), "4.4.4");
        return RUNNER_HOP_AWAY;
    case DB_FAILED: runner_walk_say(walk, "the default route could not be looked up", "4.3.0"); return RUNNER_HOP_LATER;
    }
    (void)!route_from_hops(arena, hops, count, random_seed(), &walk->route);
    return RUNNER_HOP_OPEN;
}

static AWAITS enum runner_hop find_default(struct arena *arena, struct runner_walk *walk)
{
    const struct runner_settings *settings = runner_settings();
    struct route_hop *hop = arena_alloc(arena, sizeof *hop);

    if (settings->default_route_name)
        return find_default_named(arena, settings->default_route_name, walk);
    if (!settings->default_route_host) {
        runner_walk_say(walk, "there is no default route any more", "4.4.4");
        return RUNNER_HOP_AWAY;
    }
    *hop = (struct route_hop){
        .host = settings->default_route_host, .port = settings->default_route_port, .configured = true};
    walk->route = (struct route){hop, 1};
    return RUNNER_HOP_OPEN;
}

static AWAITS enum runner_hop find_mx(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    const char *domain = arena_slicedup(arena, key->domain);
    bool literal = *domain == '[';
    enum route_answer answer;
    struct dns_mx *mx = NULL;
    unsigned count = 0;

    switch (literal ? DNS_NONE : dns_mx(arena, domain, &mx, &count)) {
    case DNS_FOUND: break;
    case DNS_NONE: count = 0; break;
    case DNS_FAILED: runner_walk_say(walk, "the domain's MX could not be looked up", "4.4.3"); return RUNNER_HOP_AWAY;
    }
    answer = literal
                 ? route_from_literal(arena, key->domain, &walk->route)
                 : route_from_mx(arena, domain, mx, count, runner_settings()->hostname, random_seed(), &walk->route);
    for (unsigned i = 0; i < walk->route.count; i++)
        walk->route.hops[i].port = runner_settings()->mx_port;
    if (answer == ROUTE_FOUND && route_cut_own(arena, &walk->route, 0))
        answer = ROUTE_LOOPS;
    switch (answer) {
    case ROUTE_FOUND: return RUNNER_HOP_OPEN;
    case ROUTE_NO_HOPS: break;
    case ROUTE_NULL_MX:
        runner_walk_say(walk, "the domain does not accept mail (null MX)", "5.1.10");
        return RUNNER_HOP_REFUSED;
    case ROUTE_LOOPS:
        runner_walk_say(walk, "the domain's MX points back to this server", "5.4.6");
        return RUNNER_HOP_REFUSED;
    }
    runner_walk_say(walk, literal ? "no such destination" : "the domain has no mail exchanger", "5.1.2");
    return RUNNER_HOP_REFUSED;
}

enum runner_hop runner_route_find(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    switch (key->kind) {
    case ROUTE_DOMAIN: return find_domain(arena, key, walk);
    case ROUTE_NAMED: return find_named(arena, key, walk);
    case ROUTE_DEFAULT: return find_default(arena, walk);
    case ROUTE_MX: return find_mx(arena, key, walk);
    case ROUTE_TO:
        if (route_to_parse(arena, key->domain, &walk->route))
            return RUNNER_HOP_OPEN;
        runner_walk_say(walk, "no such destination", "5.4.4");
        return RUNNER_HOP_REFUSED;
    case ROUTE_MAILBOX: break; /* never asked for: runner_file.c */
    }
    return RUNNER_HOP_LATER;
}

/* False: the database would not. */
static AWAITS bool move_cell(unsigned cell, int64_t route_id)
{
    log_info("its route is gone: what waits for it goes another way", log_id("route", route_id), log_int("cell", cell));
    for (unsigned tries = 0; tries < MOVE_TRIES; tries++) {
        if (tries)
            task_sleep(MOVE_PAUSE_MS);
        if (queue_reroute(cell, route_id, runner_default_route()) == DB_DONE)
            return true;
    }
    log_warn("another way could not be given to it; later", log_id("route", route_id));
    return false;
}

void runner_route_move(struct runner_lane *lane, struct runner_batch *batch)
{
    int64_t route_id = lane->destination->route.route_id;
    bool done[ID_CELLS] = {false};

    for (unsigned i = 0; i < batch->count; i++) {
        unsigned cell = id_cell(batch->entries[i]->id);

        if (!done[cell] && !move_cell(cell, route_id))
            break;
        done[cell] = true;
    }
    for (unsigned i = 0; i < batch->count; i++)
        runner_release(batch->entries[i]);
    batch->count = 0;
    runner_release_pending(lane->destination);
}
