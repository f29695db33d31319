/*
 * /v1/allowed-networks: the allow-list: clients that are not held to what is asked of strangers (relay/screen.h,
 * protocols/limit.h).
 *
 * With a customer: for mail to that customer's domains.  Without: for everything, the limits on connections included.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/name.h"
#include "storage/provision_allowed.h"

#define NETWORK_MAX_BYTES 64
#define LABEL_MAX_BYTES 200

static struct json_object *as_json(const void *item)
{
    const struct provision_allowed *allowed = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", allowed->id);
    json_put_text(object, "network", allowed->network);
    json_put_id(object, "customer", allowed->customer_id);
    json_put_text(object, "label", allowed->label);
    json_put_time(object, "valid_until", allowed->valid_until_ms);
    json_put_time(object, "created_at", allowed->created_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_allowed), offsetof(struct provision_allowed, id),
                                         as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_allowed *out)
{
    return reply_found(r, provision_allowed_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_allowed allowed;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &allowed))
        return;
    reply_json(r, status, as_json(&allowed));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/allowed-networks/%s", text);
}

AWAITS void allowed_networks_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", NULL};
    struct provision_page page;
    struct provision_allowed *list = NULL;
    unsigned count = 0;
    int64_t customer_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_allowed_list(r->arena, customer_id, &page, &list, &count);
    reply_page(r, status, &page, list, count, &shape);
}

/* What may change; members that are not given stay as they are. */
static void read_members(struct json_fields *f, struct provision_allowed *allowed)
{
    if (json_is_null(f, "label"))
        allowed->label = slice_of(NULL, 0);
    else if (json_given(f, "label"))
        allowed->label = json_text(f, "label", false, LABEL_MAX_BYTES);
    allowed->valid_until_ms = json_time(f, "valid_until", allowed->valid_until_ms);
}

AWAITS void allowed_networks_create(struct request *r)
{
    struct json_fields f;
    struct provision_allowed allowed = {.valid_until_ms = INT64_MIN};
    struct slice customer = {NULL, 0};
    if (!json_begin(r, &f))
        return;
    struct slice network = json_text(&f, "network", true, NETWORK_MAX_BYTES);
    if (network.p && !name_cidr(r->arena, network, &allowed.network))
        json_reject(&f, "network", "must be an address block such as 192.0.2.0/24 or 2001:db8::/32, host bits zero");
    if (!json_is_null(&f, "customer"))
        customer = json_text(&f, "customer", false, 200);
    read_members(&f, &allowed);
    if (!json_end(&f))
        return;

    int64_t id = 0;
    struct provision_refusal refusal;
    if (customer.p && !customers_resolve(r, "customer", customer, &allowed.customer_id))
        return;
    r->actor.status = 201;
    if (!reply_failed_write(r, provision_allowed_create(r->arena, &allowed, &r->actor, &id, &refusal), &refusal))
        reply_with(r, 201, id);
}

AWAITS void allowed_networks_show(struct request *r)
{
    struct provision_allowed allowed;
    if (get(r, r->key, &allowed))
        reply_json(r, 200, as_json(&allowed));
}

AWAITS void allowed_networks_change(struct request *r)
{
    struct json_fields f;
    struct provision_allowed allowed;
    struct provision_refusal refusal;
    if (!json_begin(r, &f) || !get(r, r->key, &allowed))
        return;
    read_members(&f, &allowed);
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_allowed_update(r->arena, &allowed, &r->actor, &refusal), &refusal))
        reply_with(r, 200, allowed.id);
}

AWAITS void allowed_networks_delete(struct request *r)
{
    struct provision_allowed allowed;
    struct provision_refusal refusal;
    if (!get(r, r->key, &allowed))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_allowed_delete(r->arena, allowed.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
