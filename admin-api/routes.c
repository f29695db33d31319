/*
 * /v1/routes: next hops under a name, for route rules, domains and the default route to refer to.
 *
 * A route is everybody's, or a customer's: then only his rules and domains may name it.  Hops go by priority, equal ones
 * by weight; `tls` is what a hop must have at least.  Name and customer are for good.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "admin-api/source_addresses.h"
#include "core/id.h"
#include "storage/name.h"
#include "storage/provision_route.h"

#define NAME_MAX_BYTES 200
#define HOST_MAX_BYTES 254

static struct json_object *hops_json(const struct provision_route *route)
{
    struct json_object *hops = json_object_new_array();
    for (unsigned i = 0; i < route->hop_count; i++) {
        const char *tls = delivery_tls_word(route->hops[i].tls);
        struct json_object *hop = json_object_new_object();
        json_put_text(hop, "host", slice_str(route->hops[i].host));
        json_put_number(hop, "port", route->hops[i].port);
        json_put_number(hop, "priority", route->hops[i].priority);
        json_put_number(hop, "weight", route->hops[i].weight);
        json_put_text(hop, "tls", tls ? slice_str(tls) : slice_of(NULL, 0));
        if (route->hops[i].credential_id)
            json_put_id(hop, "credential", route->hops[i].credential_id);
        json_object_array_add(hops, hop);
    }
    return hops;
}

static struct json_object *as_json(struct arena *arena, const struct provision_route *route)
{
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", route->id);
    json_put_text(object, "name", route->name);
    json_put_id(object, "customer", route->customer_id);
    json_object_object_add(object, "next_hops", hops_json(route));
    source_addresses_put(object, arena, route->sources);
    json_put_time(object, "created_at", route->created_ms);
    return object;
}

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_route *out)
{
    return reply_found(r, provision_route_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_route route;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &route))
        return;
    reply_json(r, status, as_json(r->arena, &route));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/routes/%s", text);
}

AWAITS bool routes_resolve(struct request *r, const char *field, struct slice key, int64_t *id)
{
    struct provision_route route;
    switch (provision_route_get(r->arena, key, &route)) {
    case DB_FOUND: *id = route.id; return true;
    case DB_NONE: reply_problem(r, 422, field, "there is no such route"); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS void routes_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", NULL};
    struct provision_page page;
    struct provision_route *routes = NULL;
    unsigned count = 0;
    int64_t customer_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    unsigned limit = page.limit++;
    if (provision_route_list(r->arena, customer_id, &page, &routes, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < limit; i++)
        json_object_array_add(items, as_json(r->arena, &routes[i]));
    reply_list(r, items, count > limit ? routes[limit - 1].id : 0);
}

/* ------------------------------------------------------------------ reading what was given */

static AWAITS void read_hop(struct json_fields *e, struct directory_hop *hop)
{
    static const char *const levels[] = {"none", "may", "encrypt", "verify", "dane", NULL};
    struct slice given = json_text(e, "host", true, HOST_MAX_BYTES), host = {0}, tls = {0};

    if (given.p && !name_host(e->r->arena, given, &host))
        json_reject(e, "host", "must be a host name or an address, without brackets");
    hop->host = host.p ? arena_slicedup(e->r->arena, host) : "";
    hop->port = (unsigned)json_number(e, "port", 1, 65535, 25);
    hop->priority = (unsigned)json_number(e, "priority", 0, 65535, 10);
    hop->weight = (unsigned)json_number(e, "weight", 1, 65535, 1);
    if (!json_is_null(e, "tls"))
        tls = json_choice(e, "tls", levels);
    if (tls.p && !delivery_tls_of(tls, &hop->tls))
        json_reject(e, "tls", "must be none, may, encrypt, verify or dane");
    hop->credential_id = credentials_read(e);
}

/* Errors name the hop's place in the list. */
static AWAITS void read_hops(struct json_fields *f, struct provision_route *route)
{
    struct json_object *array = json_array(f, "next_hops", PROVISION_ROUTE_HOPS_MAX, &route->hop_count);
    route->hops = arena_array(f->r->arena, route->hop_count + 1, sizeof *route->hops);
    for (unsigned i = 0; array && i < route->hop_count && !f->failed; i++) {
        struct json_fields e;
        if (!json_element(f, array, i, "next_hops", &e))
            break;
        read_hop(&e, &route->hops[i]);
        f->failed = !json_end(&e); /* it has answered */
    }
    if (!route->hop_count)
        json_reject(f, "next_hops", "a route needs at least one next hop");
}

AWAITS void routes_create(struct request *r)
{
    struct json_fields f;
    struct provision_route route = {0};
    struct slice customer = {NULL, 0};
    if (!json_begin(r, &f))
        return;
    route.name = json_text(&f, "name", true, NAME_MAX_BYTES);
    if (!json_is_null(&f, "customer"))
        customer = json_text(&f, "customer", false, 200);
    read_hops(&f, &route);
    route.sources = source_addresses_read(&f);
    if (!json_end(&f))
        return;

    int64_t id = 0;
    struct provision_refusal refusal;
    if (customer.p && !customers_resolve(r, "customer", customer, &route.customer_id))
        return;
    r->actor.status = 201;
    if (!reply_failed_write(r, provision_route_create(r->arena, &route, &r->actor, &id, &refusal), &refusal))
        reply_with(r, 201, id);
}

AWAITS void routes_show(struct request *r)
{
    struct provision_route route;
    if (get(r, r->key, &route))
        reply_json(r, 200, as_json(r->arena, &route));
}

AWAITS void routes_change(struct request *r)
{
    struct json_fields f;
    struct provision_route route;
    struct provision_refusal refusal;
    if (!json_begin(r, &f) || !get(r, r->key, &route))
        return;
    if (json_given(&f, "next_hops"))
        read_hops(&f, &route);
    struct slice sources = source_addresses_read(&f);
    route.sources = sources.p ? sources : route.sources;
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_route_update(r->arena, &route, &r->actor, &refusal), &refusal))
        reply_with(r, 200, route.id);
}

AWAITS void routes_delete(struct request *r)
{
    struct provision_route route;
    struct provision_refusal refusal;
    if (!get(r, r->key, &route))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_route_delete(r->arena, route.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
