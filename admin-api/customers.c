/*
 * /v1/customers: the ISP's subscribers.
 *
 * A customer is addressed by its id or by its name.  Suspending one keeps everything it has, and refuses its
 * logins, its mail and its relaying.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "admin-api/source_addresses.h"
#include "core/id.h"
#include "storage/provision_customer.h"

#define NAME_MAX_BYTES 200

static struct json_object *as_json(struct arena *arena, const struct provision_customer *customer)
{
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", customer->id);
    json_put_text(object, "name", customer->name);
    json_put_text(object, "state", customer->active ? SLICE("active") : SLICE("suspended"));
    source_addresses_put(object, arena, customer->sources);
    json_put_time(object, "created_at", customer->created_ms);
    return object;
}

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_customer *out)
{
    return reply_found(r, provision_customer_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_customer customer;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &customer))
        return;
    reply_json(r, status, as_json(r->arena, &customer));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/customers/%s", text);
}

AWAITS bool customers_resolve(struct request *r, const char *field, struct slice key, int64_t *id)
{
    struct provision_customer customer;
    switch (provision_customer_get(r->arena, key, &customer)) {
    case DB_FOUND: *id = customer.id; return true;
    case DB_NONE: reply_problem(r, 422, field, "there is no such customer"); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS void customers_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct provision_customer *customers = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    unsigned limit = page.limit++; /* one more tells whether there is a next page */
    if (provision_customer_list(r->arena, &page, &customers, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < limit; i++)
        json_object_array_add(items, as_json(r->arena, &customers[i]));
    reply_list(r, items, count > limit ? customers[limit - 1].id : 0);
}

AWAITS void customers_create(struct request *r)
{
    struct json_fields f;
    if (!json_begin(r, &f))
        return;
    struct slice name = json_text(&f, "name", true, NAME_MAX_BYTES);
    if (!json_end(&f))
        return;
    int64_t id = 0;
    struct provision_refusal refusal;
    r->actor.status = 201;
    if (reply_failed_write(r, provision_customer_create(r->arena, name, &r->actor, &id, &refusal), &refusal))
        return;
    reply_with(r, 201, id);
}

AWAITS void customers_show(struct request *r)
{
    struct provision_customer customer;
    if (get(r, r->key, &customer))
        reply_json(r, 200, as_json(r->arena, &customer));
}

AWAITS void customers_change(struct request *r)
{
    struct json_fields f;
    if (!json_begin(r, &f))
        return;
    struct slice name = json_text(&f, "name", false, NAME_MAX_BYTES);
    bool active = true;
    bool state_given = json_state(&f, "state", &active);
    struct slice sources = source_addresses_read(&f);
    if (!json_end(&f))
        return;
    struct provision_customer customer;
    struct provision_refusal refusal;
    if (!get(r, r->key, &customer))
        return;
    r->actor.status = 200;
    if (reply_failed_write(r,
                           provision_customer_update(r->arena, customer.id, name, state_given ? &active : NULL, sources,
                                                     &r->actor, &refusal),
                           &refusal))
        return;
    reply_with(r, 200, customer.id);
}

AWAITS void customers_delete(struct request *r)
{
    struct provision_customer customer;
    struct provision_refusal refusal;
    if (!get(r, r->key, &customer))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_customer_delete(r->arena, customer.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
