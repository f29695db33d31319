/*
 * Which way a message would go: the destination, the rule that chose it, and the hosts in the order in which they would
 * be tried now.
 *
 *     rule               destination   route_rule, route
 *     domain             domain:ID     a domain that this server relays; its route, if it names one
 *     account            route:ID      by who sends
 *     sender-domain      route:ID
 *     customer           route:ID
 *     recipient-domain   route:ID      by where it goes
 *     default            default       the configuration's; its route, if it names one
 *     mx                 mx:DOMAIN
 *
 * It is the same question as RCPT's (relay/outgoing.h), and the hosts are those that the runner finds
 * (daemon/runner_route.c); equal ones come by chance here, too.  What stands against a delivery is told in `problem`.
 */
#include <json-c/json.h>

#include "admin-api/relay_checks_route.h"

#include "admin-api/admin.h"
#include "admin-api/json.h"
#include "core/dns.h"
#include "core/secret.h"
#include "relay/outgoing.h"
#include "relay/route.h"
#include "relay/route_own.h"
#include "storage/directory_route.h"
#include "storage/queue.h"

#define DNS_WAIT_MS 5000

static const struct admin_settings *server;

void relay_checks_route_configure(const struct admin_settings *settings)
{
    static struct admin_settings copy;

    copy = *settings;
    server = &copy;
}

/* What is found out, and then written. */
struct way {
    struct slice destination;
    const char *rule, *problem;
    int64_t rule_id, route_id, outage_id;
    struct route route;
};

static const char *rule_word(enum route_rule_kind kind)
{
    switch (kind) {
    case ROUTE_RULE_ACCOUNT: return "account";
    case ROUTE_RULE_SENDER_DOMAIN: return "sender-domain";
    case ROUTE_RULE_CUSTOMER: return "customer";
    case ROUTE_RULE_RECIPIENT_DOMAIN: break;
    }
    return "recipient-domain";
}

static uint64_t random_seed(void)
{
    uint64_t seed;

    secret_random(&seed, sizeof seed);
    return seed;
}

static void order_hops(struct arena *arena, const struct directory_hop *hops, unsigned count, const char *none,
                       struct way *way)
{
    if (route_from_hops(arena, hops, count, random_seed(), &way->route) != ROUTE_FOUND)
        way->problem = none;
}

static AWAITS bool find_domain(struct arena *arena, const struct directory_domain *domain, struct way *way)
{
    struct directory_hop *hops = NULL;
    unsigned count = 0;

    way->destination = queue_destination_domain(arena, domain->id);
    way->rule = "domain";
    way->outage_id = domain->outage_id;
    if (directory_hops(arena, domain->id, &hops, &count) == DB_FAILED)
        return false;
    way->route_id = count ? hops[0].route_id : 0;
    order_hops(arena, hops, count, "the domain has no next hop: its mail waits for its collector", way);
    return true;
}

static AWAITS bool find_named(struct arena *arena, int64_t route_id, struct way *way)
{
    struct directory_hop *hops = NULL;
    unsigned count = 0;

    way->route_id = route_id;
    if (directory_route(arena, route_id, &hops, &count) == DB_FAILED)
        return false;
    order_hops(arena, hops, count, "the route is gone: the mail would go another way", way);
    return true;
}

static AWAITS bool find_default(struct arena *arena, struct way *way)
{
    struct directory_hop *hops = NULL;
    unsigned count = 0;

    way->rule = "default";
    if (!server->default_route_name) {
        struct directory_hop hop = {.host = server->default_route_host, .port = server->default_route_port};
        order_hops(arena, &hop, 1, NULL, way);
        return true;
    }
    switch (directory_route_named(arena, slice_str(server->default_route_name), &hops, &count)) {
    case DB_FOUND:
        way->route_id = hops[0].route_id;
        order_hops(arena, hops, count, NULL, way);
        return true;
    case DB_NONE:
        way->problem = "there is no such route as the configuration names for the default, or it is a customer's";
        return true;
    case DB_FAILED: break;
    }
    return false;
}

static AWAITS enum route_answer order_mx(struct arena *arena, const char *domain, const struct dns_mx *mx,
                                         unsigned count, struct route *out)
{
    enum route_answer answer = *domain == '['
                                   ? route_from_literal(arena, slice_str(domain), out)
                                   : route_from_mx(arena, domain, mx, count, server->hostname, random_seed(), out);

    for (unsigned i = 0; i < out->count; i++)
        out->hops[i].port = server->mx_port;
    for (unsigned i = 0; i < out->count; i++)
        if (route_cut_own(arena, out, i) && i == 0)
            return ROUTE_LOOPS;
    return answer;
}

static AWAITS void find_mx(struct arena *arena, struct slice domain, struct way *way)
{
    const char *name = arena_slicedup(arena, domain);
    struct dns_mx *mx = NULL;
    unsigned count = 0;

    way->rule = "mx";
    if (*name != '[' && dns_mx_within(arena, name, server->dns_wait_ms ? server->dns_wait_ms : DNS_WAIT_MS, &mx,
                                      &count) == DNS_FAILED) {
        way->problem = "the domain's MX could not be looked up";
        return;
    }
    switch (order_mx(arena, name, mx, count, &way->route)) {
    case ROUTE_FOUND: break;
    case ROUTE_NO_HOPS: way->problem = "the domain has no mail exchanger"; break;
    case ROUTE_NULL_MX: way->problem = "the domain does not accept mail (null MX)"; break;
    case ROUTE_LOOPS: way->problem = "the domain's MX points back to this server"; break;
    }
}

static AWAITS bool find_outside(struct arena *arena, const struct route_rule_mail *mail, struct way *way)
{
    bool default_route = server->default_route_host || server->default_route_name;
    struct outgoing outgoing;

    if (!outgoing_find(arena, mail, default_route, &outgoing))
        return false;
    way->destination = outgoing.destination;
    way->rule_id = outgoing.rule.rule_id;
    if (way->rule_id) {
        way->rule = rule_word(outgoing.rule.kind);
        return find_named(arena, outgoing.rule.route_id, way);
    }
    if (default_route)
        return find_default(arena, way);
    find_mx(arena, mail->recipient_domain, way);
    return true;
}

static struct json_object *hops_json(const struct route *route)
{
    struct json_object *hops = json_object_new_array();

    for (unsigned i = 0; i < route->count; i++) {
        struct json_object *hop = json_object_new_object();
        const char *tls = delivery_tls_word(route->hops[i].tls);
        json_put_text(hop, "host", slice_str(route->hops[i].host));
        json_put_number(hop, "port", route->hops[i].port);
        json_put_number(hop, "priority", route->hops[i].priority);
        json_put_text(hop, "tls", tls ? slice_str(tls) : slice_of(NULL, 0));
        json_object_array_add(hops, hop);
    }
    return hops;
}

AWAITS bool relay_checks_route(struct request *r, const struct permit *permit,
                               const struct authorize_decision *decision, const struct permit_recipient *recipient,
                               const struct resolve_target *target, struct json_object **out)
{
    struct way way = {0};

    *out = NULL;
    if (target->verdict == AUTHORIZE_MAILBOX)
        return true;
    if (target->verdict == AUTHORIZE_RELAY) {
        if (!find_domain(r->arena, &target->found.domain, &way))
            return false;
    } else {
        struct route_rule_mail mail = outgoing_mail(permit, decision, target, recipient->domain);
        if (!find_outside(r->arena, &mail, &way))
            return false;
    }
    *out = json_object_new_object();
    json_put_text(*out, "destination", way.destination);
    json_put_text(*out, "rule", slice_str(way.rule));
    json_put_id(*out, "route_rule", way.rule_id);
    json_put_id(*out, "route", way.route_id);
    json_object_object_add(*out, "next_hops", hops_json(&way.route));
    json_put_text(*out, "problem", way.problem ? slice_str(way.problem) : slice_of(NULL, 0));
    json_put_id(*out, "outage", way.outage_id);
    return true;
}
