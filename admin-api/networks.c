/*
 * /v1/networks: blocks of addresses that may relay without a password, as any domain of their customer.
 *
 * A network is addressed by its id or its block, with the slash encoded: /v1/networks/192.0.2.0%2F24.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/name.h"
#include "storage/provision_network.h"

#define CIDR_MAX_BYTES 64

static struct json_object *as_json(const void *item)
{
    const struct provision_network *network = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", network->id);
    json_put_text(object, "cidr", network->cidr);
    json_put_id(object, "customer", network->customer_id);
    json_put_time(object, "created_at", network->created_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_network), offsetof(struct provision_network, id),
                                         as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_network *out)
{
    return reply_found(r, provision_network_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_network network;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &network))
        return;
    reply_json(r, status, as_json(&network));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/networks/%s", text);
}

AWAITS void networks_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", NULL};
    struct provision_page page;
    struct provision_network *networks = NULL;
    unsigned count = 0;
    int64_t customer_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_network_list(r->arena, customer_id, &page, &networks, &count);
    reply_page(r, status, &page, networks, count, &shape);
}

AWAITS void networks_create(struct request *r)
{
    struct json_fields f;
    if (!json_begin(r, &f))
        return;
    struct slice given = json_text(&f, "cidr", true, CIDR_MAX_BYTES), cidr = {0};
    if (given.p && !name_cidr(r->arena, given, &cidr))
        json_reject(&f, "cidr", "must be an address block such as 192.0.2.0/24 or 2001:db8::/32, host bits zero");
    struct slice customer = json_text(&f, "customer", true, 200);
    if (!json_end(&f))
        return;

    int64_t id = 0, customer_id = 0;
    struct provision_refusal refusal;
    if (!customers_resolve(r, "customer", customer, &customer_id))
        return;
    r->actor.status = 201;
    enum db_write result = provision_network_create(r->arena, customer_id, cidr, &r->actor, &id, &refusal);
    if (!reply_failed_write(r, result, &refusal))
        reply_with(r, 201, id);
}

AWAITS void networks_show(struct request *r)
{
    struct provision_network network;
    if (get(r, r->key, &network))
        reply_json(r, 200, as_json(&network));
}

AWAITS void networks_change(struct request *r)
{
    struct json_fields f;
    if (!json_begin(r, &f))
        return;
    struct slice customer = json_text(&f, "customer", false, 200);
    if (!json_end(&f))
        return;
    int64_t customer_id = 0;
    struct provision_network network;
    struct provision_refusal refusal;
    if (!get(r, r->key, &network))
        return;
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    r->actor.status = 200;
    if (customer.p &&
        reply_failed_write(r, provision_network_assign(r->arena, network.id, customer_id, &r->actor, &refusal),
                           &refusal))
        return;
    reply_with(r, 200, network.id);
}

AWAITS void networks_delete(struct request *r)
{
    struct provision_network network;
    struct provision_refusal refusal;
    if (!get(r, r->key, &network))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_network_delete(r->arena, network.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
