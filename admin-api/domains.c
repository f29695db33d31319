/*
 * /v1/domains: domains and where their mail goes.
 *
 * A hosted domain's mail ends in our mailboxes; a relay domain's goes on to its next hops, the lowest
 * priority number first, and is held readable while they are away.  A hosted domain with next hops is split: names that
 * are not here are there.  An alias is a second name of another domain.  The kind of a domain is for good.
 */
#include <json-c/json.h>
#include <string.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/name.h"
#include "storage/provision_domain.h"

#define NAME_MAX_BYTES 254 /* with a final dot */
#define ADDRESS_MAX_BYTES 254
#define SEPARATORS "+-_=#~" /* what a user's name seldom holds, and an address may (RFC 5321 4.1.2) */

static struct json_object *hops_json(const struct provision_domain *domain)
{
    struct json_object *hops = json_object_new_array();
    for (unsigned i = 0; i < domain->hop_count; i++) {
        struct json_object *hop = json_object_new_object();
        json_put_text(hop, "host", slice_str(domain->hops[i].host));
        json_put_number(hop, "port", domain->hops[i].port);
        json_put_number(hop, "priority", domain->hops[i].priority);
        if (domain->hops[i].credential_id)
            json_put_id(hop, "credential", domain->hops[i].credential_id);
        json_object_array_add(hops, hop);
    }
    return hops;
}

static struct slice kind_word(enum directory_kind kind)
{
    switch (kind) {
    case DIRECTORY_HOSTED: break;
    case DIRECTORY_RELAY: return SLICE("relay");
    case DIRECTORY_ALIAS: return SLICE("alias");
    }
    return SLICE("hosted");
}

static void put_recipients(struct json_object *object, const struct provision_domain *domain)
{
    bool alias = domain->kind == DIRECTORY_ALIAS;
    json_put_text(object, "recipients", alias ? (struct slice){NULL, 0} : domain->recipients);
    json_put_text(object, "unknown_while_away", alias ? (struct slice){NULL, 0} : domain->unknown_while_away);
    if (domain->accepts_all.p)
        json_put_bool(object, "primary_accepts_all", slice_equal(domain->accepts_all, SLICE("true")));
    else
        json_object_object_add(object, "primary_accepts_all", NULL);
}

static struct json_object *as_json(const void *item)
{
    const struct provision_domain *domain = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", domain->id);
    json_put_text(object, "name", domain->name);
    json_put_id(object, "customer", domain->customer_id);
    json_put_text(object, "kind", kind_word(domain->kind));
    json_put_text(object, "target", domain->target);
    json_object_object_add(object, "next_hops", hops_json(domain));
    json_put_text(object, "route", domain->route);
    json_put_text(object, "subaddress_separator", domain->separator.n ? domain->separator : (struct slice){NULL, 0});
    json_put_text(object, "catch_all", domain->catch_all);
    put_recipients(object, domain);
    json_put_text(object, "collector", domain->collector);
    json_put_id(object, "outage", domain->outage_id);
    json_put_time(object, "created_at", domain->created_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_domain), offsetof(struct provision_domain, id),
                                         as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_domain *out)
{
    return reply_found(r, provision_domain_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_domain domain;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &domain))
        return;
    reply_json(r, status, as_json(&domain));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/domains/%s", text);
}

AWAITS bool domains_of_path(struct request *r, struct provision_domain *out)
{
    return get(r, r->key, out);
}

static AWAITS bool resolve(struct request *r, const char *field, struct slice key, struct provision_domain *out)
{
    switch (provision_domain_get(r->arena, key, out)) {
    case DB_FOUND: return true;
    case DB_NONE: reply_problem(r, 422, field, "there is no such domain"); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS bool domains_resolve(struct request *r, const char *field, struct slice key, int64_t *id)
{
    struct provision_domain domain;
    bool found = resolve(r, field, key, &domain);
    if (found)
        *id = domain.id;
    return found;
}

AWAITS bool domains_resolve_target(struct request *r, const char *field, struct slice key, int64_t *id)
{
    struct provision_domain domain;
    bool found = resolve(r, field, key, &domain);
    if (found)
        *id = domain.target_id ? domain.target_id : domain.id;
    return found;
}

AWAITS void domains_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", NULL};
    struct provision_page page;
    struct provision_domain *domains = NULL;
    unsigned count = 0;
    int64_t customer_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_domain_list(r->arena, customer_id, &page, &domains, &count);
    reply_page(r, status, &page, domains, count, &shape);
}

/* "next_hops":[{"host","port","priority","credential"}]; an error is the list's, with the element's place in its name. */
static AWAITS struct directory_hop *read_hops(struct json_fields *f, unsigned *count)
{
    struct json_object *array = json_array(f, "next_hops", PROVISION_HOPS_MAX, count);
    struct directory_hop *hops = arena_array(f->r->arena, *count + 1, sizeof *hops);
    for (unsigned i = 0; array && i < *count && !f->failed; i++) {
        struct json_fields e;
        if (!json_element(f, array, i, "next_hops", &e))
            break;
        struct slice given = json_text(&e, "host", true, NAME_MAX_BYTES), host = {0};
        if (given.p && !name_host(f->r->arena, given, &host))
            json_reject(&e, "host", "must be a host name or an address, without brackets");
        hops[i].host = host.p ? arena_slicedup(f->r->arena, host) : "";
        hops[i].port = (unsigned)json_number(&e, "port", 1, 65535, 25);
        hops[i].priority = (unsigned)json_number(&e, "priority", 0, 65535, 10);
        hops[i].credential_id = credentials_read(&e);
        f->failed = !json_end(&e); /* it has answered */
    }
    return hops;
}

/* {NULL,0}: not given; empty: null, none. */
static struct slice read_separator(struct json_fields *f)
{
    if (json_is_null(f, "subaddress_separator"))
        return SLICE("");
    struct slice given = json_text(f, "subaddress_separator", false, 2);
    for (size_t i = 0; i < given.n; i++)
        if (!strchr(SEPARATORS, given.p[i]) || (i && given.p[i] == given.p[0]))
            json_reject(f, "subaddress_separator", "must be one or two of %s, or null", SEPARATORS);
    return given;
}

/* {NULL,0}: not given, or null. */
static struct slice read_catch_all(struct json_fields *f)
{
    struct slice given = {NULL, 0}, address = {NULL, 0};
    if (!json_is_null(f, "catch_all"))
        given = json_text(f, "catch_all", false, ADDRESS_MAX_BYTES);
    if (given.p && !name_address(f->r->arena, given, &address))
        json_reject(f, "catch_all", "must be an address, local@domain, or null");
    return address;
}

/* {NULL,0}: not given, or null. */
static struct slice read_collector(struct json_fields *f)
{
    return json_is_null(f, "collector") ? (struct slice){NULL, 0} : json_text(f, "collector", false, ADDRESS_MAX_BYTES);
}

/* {NULL,0}: not given, or null. */
static struct slice read_route(struct json_fields *f, unsigned hop_count)
{
    struct slice route = json_is_null(f, "route") ? (struct slice){NULL, 0} : json_text(f, "route", false, 200);
    if (route.p && hop_count)
        json_reject(f, "route", "is instead of next_hops");
    return route;
}

static enum directory_kind read_kind(struct json_fields *f)
{
    static const char *const words[] = {"hosted", "relay", "alias", NULL};
    struct slice kind = json_choice(f, "kind", words);
    if (!kind.p)
        json_reject(f, "kind", "is required");
    return slice_equal(kind, SLICE("relay"))   ? DIRECTORY_RELAY
           : slice_equal(kind, SLICE("alias")) ? DIRECTORY_ALIAS
                                               : DIRECTORY_HOSTED;
}

static const char *const valid_words[] = {"any", "listed", "learned", NULL};
static const char *const unknown_words[] = {"defer", "accept", NULL};

/* What a domain of this kind may have. */
static void check_fields(struct json_fields *f, enum directory_kind kind)
{
    static const char *const own[] = {
        "next_hops", "route", "subaddress_separator", "catch_all", "recipients", "unknown_while_away", "collector"};
    for (unsigned i = 0; kind == DIRECTORY_ALIAS && i < sizeof own / sizeof *own; i++)
        if (json_given(f, own[i]) && !json_is_null(f, own[i]))
            json_reject(f, own[i], "is its target's");
    if (kind != DIRECTORY_ALIAS && json_given(f, "target"))
        json_reject(f, "target", "is for an alias only");
    if (kind == DIRECTORY_RELAY && json_given(f, "catch_all") && !json_is_null(f, "catch_all"))
        json_reject(f, "catch_all", "is for a hosted domain only");
}

/* False, and answered.  {NULL,0}: none. */
static AWAITS bool resolve_collector(struct request *r, struct slice collector, int64_t *id)
{
    return !collector.p || accounts_resolve(r, "collector", collector, id);
}

/* False, and answered.  {NULL,0}: none. */
static AWAITS bool resolve_route(struct request *r, struct slice route, int64_t *id)
{
    return !route.p || routes_resolve(r, "route", route, id);
}

/* False, and answered. */
static AWAITS bool resolve_target(struct request *r, struct slice target, int64_t *id)
{
    return !target.p || domains_resolve(r, "target", target, id);
}

AWAITS void domains_create(struct request *r)
{
    struct json_fields f;
    struct provision_domain wanted = {.hop_count = 0};
    if (!json_begin(r, &f))
        return;
    struct slice given = json_text(&f, "name", true, NAME_MAX_BYTES);
    if (given.p && !name_domain(r->arena, given, &wanted.name))
        json_reject(&f, "name", "must be a domain name of at least two labels");
    struct slice customer = json_text(&f, "customer", true, 200);
    wanted.kind = read_kind(&f);
    wanted.hops = read_hops(&f, &wanted.hop_count);
    struct slice route = read_route(&f, wanted.hop_count);
    wanted.separator = read_separator(&f);
    wanted.catch_all = read_catch_all(&f);
    wanted.recipients = json_choice(&f, "recipients", valid_words);
    wanted.unknown_while_away = json_choice(&f, "unknown_while_away", unknown_words);
    struct slice target = json_text(&f, "target", wanted.kind == DIRECTORY_ALIAS, NAME_MAX_BYTES);
    struct slice collector = read_collector(&f);
    check_fields(&f, wanted.kind);
    if (wanted.kind == DIRECTORY_RELAY && wanted.hop_count == 0 && !route.p && !collector.p)
        json_reject(&f, "next_hops", "a relay domain needs at least one next hop, a route or a collector");
    if (wanted.catch_all.p && (wanted.hop_count > 0 || route.p))
        json_reject(&f, "catch_all", "names that are not here go to the next hops");
    if (!json_end(&f))
        return;

    int64_t id = 0;
    struct provision_refusal refusal;
    if (!customers_resolve(r, "customer", customer, &wanted.customer_id) ||
        !resolve_target(r, target, &wanted.target_id) || !resolve_collector(r, collector, &wanted.collector_id) ||
        !resolve_route(r, route, &wanted.route_id))
        return;
    r->actor.status = 201;
    if (!reply_failed_write(r, provision_domain_create(r->arena, &wanted, &r->actor, &id, &refusal), &refusal))
        reply_with(r, 201, id);
}

AWAITS void domains_show(struct request *r)
{
    struct provision_domain domain;
    if (get(r, r->key, &domain))
        reply_json(r, 200, as_json(&domain));
}

AWAITS void domains_change(struct request *r)
{
    struct json_fields f;
    struct provision_domain_change change = {.hops_given = false};
    struct provision_domain domain;
    struct provision_refusal refusal;
    if (!json_begin(r, &f) || !get(r, r->key, &domain))
        return;
    change.hops_given = json_given(&f, "next_hops");
    change.hops = read_hops(&f, &change.hop_count);
    change.route_given = json_given(&f, "route");
    struct slice route = read_route(&f, change.hop_count);
    change.separator = read_separator(&f);
    change.catch_all_given = json_given(&f, "catch_all");
    change.catch_all = read_catch_all(&f);
    change.recipients = json_choice(&f, "recipients", valid_words);
    change.unknown_while_away = json_choice(&f, "unknown_while_away", unknown_words);
    struct slice target = json_text(&f, "target", false, NAME_MAX_BYTES);
    change.collector_given = json_given(&f, "collector");
    struct slice collector = read_collector(&f);
    check_fields(&f, domain.kind);
    if (!json_end(&f) || !resolve_target(r, target, &change.target_id) ||
        !resolve_collector(r, collector, &change.collector_id) || !resolve_route(r, route, &change.route_id))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_domain_change(r->arena, &domain, &change, &r->actor, &refusal), &refusal))
        reply_with(r, 200, domain.id);
}

AWAITS void domains_delete(struct request *r)
{
    struct provision_domain domain;
    struct provision_refusal refusal;
    if (!get(r, r->key, &domain))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_domain_delete(r->arena, domain.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
