/*
 * /v1/delivery-policies: how long, how often, how protected and how much at once mail to a domain is tried, where that
 * is not as the settings say.
 *
 * A policy is addressed by its id or its domain.  Times are seconds; null is what the configuration says.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/name.h"
#include "storage/provision_delivery.h"

#define DOMAIN_MAX_BYTES 1024
#define LABEL_MAX_BYTES 200
#define DAY 86400

static void put_number(struct json_object *object, const char *name, int32_t number)
{
    if (number == DELIVERY_POLICY_NOT_SET)
        json_object_object_add(object, name, NULL);
    else
        json_put_number(object, name, number);
}

static struct json_object *as_json(const void *item)
{
    const struct provision_delivery *delivery = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", delivery->id);
    json_put_text(object, "domain", delivery->policy.domain);
    put_number(object, "lifetime", delivery->policy.lifetime);
    put_number(object, "delay_notice", delivery->policy.delay_notice);
    put_number(object, "retry_first", delivery->policy.retry_first);
    put_number(object, "retry_max", delivery->policy.retry_max);
    put_number(object, "transaction_recipients", delivery->policy.transaction_recipients);
    put_number(object, "connection_messages", delivery->policy.connection_messages);
    json_put_text(object, "tls", slice_str(delivery_tls_word(delivery->policy.tls)));
    json_put_text(object, "label", delivery->label);
    json_put_time(object, "created_at", delivery->created_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_delivery), offsetof(struct provision_delivery, id),
                                         as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_delivery *out)
{
    return reply_found(r, provision_delivery_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_delivery delivery;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &delivery))
        return;
    reply_json(r, status, as_json(&delivery));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/delivery-policies/%s", text);
}

AWAITS void delivery_policies_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct provision_delivery *list = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_delivery_list(r->arena, &page, &list, &count);
    reply_page(r, status, &page, list, count, &shape);
}

static void read_number(struct json_fields *f, const char *name, int32_t min, int32_t max, int32_t *out)
{
    if (json_is_null(f, name))
        *out = DELIVERY_POLICY_NOT_SET;
    else if (json_given(f, name))
        *out = (int32_t)json_number(f, name, min, max, min);
}

static void read_tls(struct json_fields *f, struct delivery_policy *policy)
{
    if (json_is_null(f, "tls")) {
        policy->tls = DELIVERY_TLS_NOT_SET;
    } else if (json_given(f, "tls")) {
        struct slice word = json_text(f, "tls", false, 20);
        if (word.p && !delivery_tls_of(word, &policy->tls))
            json_reject(f, "tls", "must be none, may, encrypt, verify, dane or sts, or null");
    }
}

/* What may change; members that are not given stay as they are. */
static void read_members(struct json_fields *f, struct provision_delivery *delivery)
{
    struct delivery_policy *policy = &delivery->policy;
    read_tls(f, policy);
    read_number(f, "lifetime", 1, 30 * DAY, &policy->lifetime);
    read_number(f, "delay_notice", 0, 30 * DAY, &policy->delay_notice);
    read_number(f, "retry_first", 1, DAY, &policy->retry_first);
    read_number(f, "retry_max", 1, 7 * DAY, &policy->retry_max);
    read_number(f, "transaction_recipients", 1, 100, &policy->transaction_recipients);
    read_number(f, "connection_messages", 1, 1000000, &policy->connection_messages);
    if (json_is_null(f, "label"))
        delivery->label = slice_of(NULL, 0);
    else if (json_given(f, "label"))
        delivery->label = json_text(f, "label", false, LABEL_MAX_BYTES);
}

AWAITS void delivery_policies_create(struct request *r)
{
    struct json_fields f;
    struct provision_delivery delivery = {.policy = {.lifetime = DELIVERY_POLICY_NOT_SET,
                                                     .delay_notice = DELIVERY_POLICY_NOT_SET,
                                                     .retry_first = DELIVERY_POLICY_NOT_SET,
                                                     .retry_max = DELIVERY_POLICY_NOT_SET,
                                                     .transaction_recipients = DELIVERY_POLICY_NOT_SET,
                                                     .connection_messages = DELIVERY_POLICY_NOT_SET}};
    struct provision_refusal refusal;
    if (!json_begin(r, &f))
        return;
    struct slice domain = json_text(&f, "domain", true, DOMAIN_MAX_BYTES);
    if (domain.p && !name_domain(r->arena, domain, &delivery.policy.domain))
        json_reject(&f, "domain", "must be a domain name");
    read_members(&f, &delivery);
    if (!json_end(&f))
        return;
    r->actor.status = 201;
    if (!reply_failed_write(r, provision_delivery_create(r->arena, &delivery, &r->actor, &refusal), &refusal))
        reply_with(r, 201, delivery.id);
}

AWAITS void delivery_policies_show(struct request *r)
{
    struct provision_delivery delivery;
    if (get(r, r->key, &delivery))
        reply_json(r, 200, as_json(&delivery));
}

AWAITS void delivery_policies_change(struct request *r)
{
    struct json_fields f;
    struct provision_delivery delivery;
    struct provision_refusal refusal;
    if (!json_begin(r, &f) || !get(r, r->key, &delivery))
        return;
    read_members(&f, &delivery);
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_delivery_update(r->arena, &delivery, &r->actor, &refusal), &refusal))
        reply_with(r, 200, delivery.id);
}

AWAITS void delivery_policies_delete(struct request *r)
{
    struct provision_delivery delivery;
    struct provision_refusal refusal;
    if (!get(r, r->key, &delivery))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_delivery_delete(r->arena, delivery.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
