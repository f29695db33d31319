/*
 * /v1/aliases and /v1/groups: addresses that stand for others.
 *
 * Two resources over one kind of row: a group is an alias that asks who sends, and calls its targets members.  The
 * customer is that of the address's domain.  Whether a target exists is not asked here: it may come later, and go.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/name.h"
#include "storage/provision_domain.h"
#include "storage/provision_expansion.h"

#define ADDRESS_MAX_BYTES 254

static const char *const posters[] = {"anyone", "members", "customer", NULL};

static const struct resource {
    enum provision_expansion_kind kind;
    const char *path, *targets; /* the list's name */
} aliases = {PROVISION_ALIAS, "/v1/aliases", "targets"}, groups = {PROVISION_GROUP, "/v1/groups", "members"};

static struct json_object *as_json(const struct resource *of, const struct provision_expansion *expansion)
{
    struct json_object *object = json_object_new_object(), *targets = json_object_new_array();

    for (unsigned i = 0; i < expansion->target_count; i++)
        json_object_array_add(targets,
                              json_object_new_string_len(expansion->targets[i].p, (int)expansion->targets[i].n));
    json_put_id(object, "id", expansion->id);
    json_put_text(object, "address", expansion->address);
    json_put_id(object, "customer", expansion->customer_id);
    json_put_id(object, "domain", expansion->domain_id);
    json_object_object_add(object, of->targets, targets);
    if (of->kind == PROVISION_GROUP)
        json_put_text(object, "senders", expansion->senders);
    json_put_time(object, "created_at", expansion->created_ms);
    return object;
}

/* False, and answered. */
static AWAITS bool get(struct request *r, const struct resource *of, struct slice key, struct provision_expansion *out)
{
    return reply_found(r, provision_expansion_get(r->arena, of->kind, key, out));
}

static AWAITS void reply_with(struct request *r, const struct resource *of, unsigned status, int64_t id)
{
    struct provision_expansion expansion;
    char text[ID_TEXT_SIZE];

    if (!get(r, of, slice_str(id_print(id, text)), &expansion))
        return;
    reply_json(r, status, as_json(of, &expansion));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "%s/%s", of->path, text);
}

/* NULL: not given. */
static struct slice *read_targets(struct json_fields *f, const struct resource *of, bool required, struct slice address,
                                  unsigned *count)
{
    struct slice *targets = json_texts(f, of->targets, PROVISION_TARGETS_MAX, ADDRESS_MAX_BYTES, count);

    for (unsigned i = 0; targets && i < *count; i++) {
        struct slice given = targets[i];
        if (!name_address(f->r->arena, given, &targets[i]))
            json_reject(f, of->targets, "must be addresses, local@domain");
        else if (slice_equal(targets[i], address))
            json_reject(f, of->targets, "must not hold the address itself");
    }
    if ((required || json_given(f, of->targets)) && !*count)
        json_reject(f, of->targets, "must hold at least one address");
    return *count ? targets : NULL;
}

static AWAITS void list(struct request *r, const struct resource *of)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", "domain", NULL};
    struct provision_expansion *expansions = NULL;
    struct provision_page page;
    unsigned count = 0;
    int64_t customer_id = 0, domain_id = 0;

    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer"), domain = request_query(r, "domain");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    if (domain.p && !domains_resolve(r, "domain", domain, &domain_id))
        return;
    unsigned limit = page.limit++;
    if (provision_expansion_list(r->arena, of->kind, customer_id, domain_id, &page, &expansions, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < limit; i++)
        json_object_array_add(items, as_json(of, &expansions[i]));
    reply_list(r, items, count > limit ? expansions[limit - 1].id : 0);
}

/* The domain that the address is in.  False, and answered: it is none of ours. */
static AWAITS bool find_domain(struct request *r, struct slice address, struct provision_domain *out)
{
    switch (provision_domain_get(r->arena, name_address_domain(address), out)) {
    case DB_FOUND: return true;
    case DB_NONE: reply_problem(r, 422, "address", "its domain is not here"); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

static AWAITS void create(struct request *r, const struct resource *of)
{
    struct provision_expansion wanted = {.kind = of->kind};
    struct provision_refusal refusal;
    struct provision_domain domain;
    struct json_fields f;
    int64_t id = 0;

    if (!json_begin(r, &f))
        return;
    struct slice given = json_text(&f, "address", true, ADDRESS_MAX_BYTES);
    if (given.p && !name_address(r->arena, given, &wanted.address))
        json_reject(&f, "address", "must be an address, local@domain");
    wanted.targets = read_targets(&f, of, true, wanted.address, &wanted.target_count);
    if (of->kind == PROVISION_GROUP)
        wanted.senders = json_choice(&f, "senders", posters);
    if (!json_end(&f) || !find_domain(r, wanted.address, &domain))
        return;
    r->actor.status = 201;
    enum db_write result =
        provision_expansion_create(r->arena, domain.customer_id, domain.id, &wanted, &r->actor, &id, &refusal);
    if (!reply_failed_write(r, result, &refusal))
        reply_with(r, of, 201, id);
}

static AWAITS void show(struct request *r, const struct resource *of)
{
    struct provision_expansion expansion;

    if (get(r, of, r->key, &expansion))
        reply_json(r, 200, as_json(of, &expansion));
}

static AWAITS void change(struct request *r, const struct resource *of)
{
    struct slice senders = {NULL, 0};
    struct provision_expansion expansion;
    struct provision_refusal refusal;
    struct json_fields f;
    unsigned count = 0;

    if (!json_begin(r, &f) || !get(r, of, r->key, &expansion))
        return;
    struct slice *targets = read_targets(&f, of, false, expansion.address, &count);
    if (of->kind == PROVISION_GROUP)
        senders = json_choice(&f, "senders", posters);
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(
            r, provision_expansion_update(r->arena, expansion.id, senders, targets, count, &r->actor, &refusal),
            &refusal))
        reply_with(r, of, 200, expansion.id);
}

static AWAITS void delete (struct request *r, const struct resource *of)
{
    struct provision_expansion expansion;
    struct provision_refusal refusal;

    if (!get(r, of, r->key, &expansion))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_expansion_delete(r->arena, expansion.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}

AWAITS void aliases_list(struct request *r)
{
    list(r, &aliases);
}

AWAITS void aliases_create(struct request *r)
{
    create(r, &aliases);
}

AWAITS void aliases_show(struct request *r)
{
    show(r, &aliases);
}

AWAITS void aliases_change(struct request *r)
{
    change(r, &aliases);
}

AWAITS void aliases_delete(struct request *r)
{
    delete (r, &aliases);
}

AWAITS void groups_list(struct request *r)
{
    list(r, &groups);
}

AWAITS void groups_create(struct request *r)
{
    create(r, &groups);
}

AWAITS void groups_show(struct request *r)
{
    show(r, &groups);
}

AWAITS void groups_change(struct request *r)
{
    change(r, &groups);
}

AWAITS void groups_delete(struct request *r)
{
    delete (r, &groups);
}
