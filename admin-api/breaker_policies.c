/*
 * /v1/breaker-policies: from when on what an account sends is held, because its sending has left its own pattern.
 *
 * A policy is for one account, for the accounts of a domain, of a customer, or for everybody's; the narrowest one
 * holds, whole. Whom it is for is for good.  Without one nothing of an account is counted or held.  What it means is
 * decided in relay/breaker.c.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/name.h"
#include "storage/provision_breaker_policy.h"

#define NAME_MAX_BYTES 300
#define LABEL_MAX_BYTES 200
#define NUMBER_MAX 1000000
#define SECONDS_MAX (INT64_C(365) * 24 * 60 * 60)

static struct json_object *as_json(const void *item)
{
    const struct breaker_policy *policy = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", policy->id);
    json_put_id(object, "customer", policy->customer_id);
    json_put_id(object, "domain", policy->domain_id);
    json_put_id(object, "account", policy->account_id);
    json_put_bool(object, "enabled", policy->enabled);
    json_put_number(object, "messages", policy->least[BREAKER_MESSAGES]);
    json_put_number(object, "recipients", policy->least[BREAKER_RECIPIENTS]);
    json_put_number(object, "failures", policy->least[BREAKER_FAILURES]);
    json_put_number(object, "factor", policy->factor);
    json_put_number(object, "countries", policy->countries);
    json_put_number(object, "hold_seconds", policy->hold_ms / 1000);
    json_put_text(object, "then", slice_str(hold_then_word(policy->then)));
    if (policy->open_ms)
        json_put_number(object, "open_seconds", policy->open_ms / 1000);
    else
        json_object_object_add(object, "open_seconds", NULL);
    json_put_text(object, "notify", policy->notify);
    json_put_text(object, "label", policy->label);
    json_put_time(object, "created_at", policy->created_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct breaker_policy), offsetof(struct breaker_policy, id), as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct breaker_policy *out)
{
    return reply_found(r, provision_breaker_policy_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct breaker_policy policy;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &policy))
        return;
    reply_json(r, status, as_json(&policy));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/breaker-policies/%s", text);
}

AWAITS void breaker_policies_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", NULL};
    struct provision_page page;
    struct breaker_policy *list = NULL;
    unsigned count = 0;
    int64_t customer_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_breaker_policy_list(r->arena, customer_id, &page, &list, &count);
    reply_page(r, status, &page, list, count, &shape);
}

/* ------------------------------------------------------------------ reading what was given */

static void read_number(struct json_fields *f, const char *name, int64_t min, int64_t max, uint32_t *out)
{
    *out = (uint32_t)json_number(f, name, min, max, *out);
}

static void read_notify(struct json_fields *f, struct breaker_policy *policy)
{
    if (json_is_null(f, "notify")) {
        policy->notify = slice_of(NULL, 0);
    } else if (json_given(f, "notify")) {
        struct slice given = json_text(f, "notify", false, NAME_MAX_BYTES);
        if (given.p && !name_address(f->r->arena, given, &policy->notify))
            json_reject(f, "notify", "must be an address, or null");
    }
}

/* What may change; members that are not given stay as they are. */
static void read_members(struct json_fields *f, struct breaker_policy *policy)
{
    static const char *const words[] = {"release", "reject", "discard", NULL};
    policy->enabled = json_flag(f, "enabled", policy->enabled);
    read_number(f, "messages", 1, NUMBER_MAX, &policy->least[BREAKER_MESSAGES]);
    read_number(f, "recipients", 1, NUMBER_MAX, &policy->least[BREAKER_RECIPIENTS]);
    read_number(f, "failures", 1, NUMBER_MAX, &policy->least[BREAKER_FAILURES]);
    read_number(f, "factor", 2, 100, &policy->factor);
    read_number(f, "countries", 0, 1000, &policy->countries);
    policy->hold_ms = json_number(f, "hold_seconds", 60, SECONDS_MAX, policy->hold_ms / 1000) * 1000;
    struct slice then = json_choice(f, "then", words);
    if (then.p)
        hold_then_parse(then, &policy->then);
    if (json_is_null(f, "open_seconds"))
        policy->open_ms = 0;
    else if (json_given(f, "open_seconds"))
        policy->open_ms = json_number(f, "open_seconds", 1, SECONDS_MAX, 1) * 1000;
    read_notify(f, policy);
    if (json_is_null(f, "label"))
        policy->label = slice_of(NULL, 0);
    else if (json_given(f, "label"))
        policy->label = json_text(f, "label", false, LABEL_MAX_BYTES);
}

AWAITS void breaker_policies_create(struct request *r)
{
    struct json_fields f;
    struct breaker_policy policy = {
        .enabled = true,
        .least = {[BREAKER_MESSAGES] = 100, [BREAKER_RECIPIENTS] = 500, [BREAKER_FAILURES] = 50},
        .factor = 4,
        .countries = 2,
        .hold_ms = HOLD_APPROVAL_MS,
        .then = HOLD_THEN_REJECT,
    };
    struct provision_refusal refusal;
    if (!json_begin(r, &f))
        return;
    struct slice customer = json_text(&f, "customer", false, NAME_MAX_BYTES);
    struct slice domain = json_text(&f, "domain", false, NAME_MAX_BYTES);
    struct slice account = json_text(&f, "account", false, NAME_MAX_BYTES);
    if ((customer.p != NULL) + (domain.p != NULL) + (account.p != NULL) > 1)
        json_reject(&f, account.p ? "account" : "domain", "only one of customer, domain and account may be given");
    read_members(&f, &policy);
    if (!json_end(&f) || (customer.p && !customers_resolve(r, "customer", customer, &policy.customer_id)) ||
        (domain.p && !domains_resolve(r, "domain", domain, &policy.domain_id)) ||
        (account.p && !accounts_resolve(r, "account", account, &policy.account_id)))
        return;
    r->actor.status = 201;
    if (!reply_failed_write(r, provision_breaker_policy_create(r->arena, &policy, &r->actor, &refusal), &refusal))
        reply_with(r, 201, policy.id);
}

AWAITS void breaker_policies_show(struct request *r)
{
    struct breaker_policy policy;
    if (get(r, r->key, &policy))
        reply_json(r, 200, as_json(&policy));
}

AWAITS void breaker_policies_change(struct request *r)
{
    struct json_fields f;
    struct breaker_policy policy;
    struct provision_refusal refusal;
    if (!json_begin(r, &f) || !get(r, r->key, &policy))
        return;
    read_members(&f, &policy);
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_breaker_policy_update(r->arena, &policy, &r->actor, &refusal), &refusal))
        reply_with(r, 200, policy.id);
}

AWAITS void breaker_policies_delete(struct request *r)
{
    struct breaker_policy policy;
    struct provision_refusal refusal;
    if (!get(r, r->key, &policy))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_breaker_policy_delete(r->arena, policy.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
