/*
 * /v1/client-policies: what is asked of strangers who bring mail: DNS lists by their scores, the client's reverse name,
 * greylisting.
 *
 * A policy is for one domain, for all domains of a customer, or for everybody's; the most specific one holds, whole.
 * Whom it is for is for good.  What it means is decided in relay/screen.c.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/provision_domain.h"
#include "storage/provision_policy.h"

#define NAME_MAX_BYTES 254
#define LABEL_MAX_BYTES 200
#define SCORE_MAX 1000000
#define REVERSE_SCORE_MAX 1000
#define DELAY_MAX_S 86400
#define PASSES_MAX 1000000

static void put_score(struct json_object *object, const char *name, int32_t score)
{
    if (score == PROVISION_POLICY_NO_SCORE)
        json_object_object_add(object, name, NULL);
    else
        json_put_number(object, name, score);
}

static struct json_object *as_json(const void *item)
{
    const struct provision_policy *policy = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", policy->id);
    json_put_id(object, "customer", policy->customer_id);
    json_put_id(object, "domain", policy->domain_id);
    json_put_text(object, "label", policy->label);
    put_score(object, "refuse_at", policy->refuse_at);
    json_put_text(object, "reverse_name", policy->reverse_name);
    json_put_number(object, "reverse_score", policy->reverse_score);
    json_put_text(object, "greylist", policy->greylist);
    put_score(object, "greylist_at", policy->greylist_at);
    json_put_number(object, "greylist_delay", policy->greylist_delay_s);
    json_put_number(object, "greylist_passes", policy->greylist_passes);
    json_put_time(object, "created_at", policy->created_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_policy), offsetof(struct provision_policy, id),
                                         as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_policy *out)
{
    return reply_found(r, provision_policy_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_policy policy;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &policy))
        return;
    reply_json(r, status, as_json(&policy));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/client-policies/%s", text);
}

AWAITS void client_policies_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", NULL};
    struct provision_page page;
    struct provision_policy *policies = NULL;
    unsigned count = 0;
    int64_t customer_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_policy_list(r->arena, customer_id, &page, &policies, &count);
    reply_page(r, status, &page, policies, count, &shape);
}

/* ------------------------------------------------------------------ reading what was given */

static void read_score(struct json_fields *f, const char *name, int32_t *out)
{
    if (json_is_null(f, name))
        *out = PROVISION_POLICY_NO_SCORE;
    else if (json_given(f, name))
        *out = (int32_t)json_number(f, name, -SCORE_MAX, SCORE_MAX, 0);
}

static void read_choice(struct json_fields *f, const char *name, const char *const *words, struct slice *out)
{
    struct slice word = json_choice(f, name, words);
    if (word.p)
        *out = word;
}

/* What may change; members that are not given stay as they are. */
static void read_members(struct json_fields *f, struct provision_policy *policy)
{
    static const char *const reverse_name[] = {"ignore", "score", "require", NULL};
    static const char *const greylist[] = {"never", "suspects", "always", NULL};

    if (json_is_null(f, "label"))
        policy->label = slice_of(NULL, 0);
    else if (json_given(f, "label"))
        policy->label = json_text(f, "label", false, LABEL_MAX_BYTES);
    read_score(f, "refuse_at", &policy->refuse_at);
    read_choice(f, "reverse_name", reverse_name, &policy->reverse_name);
    policy->reverse_score =
        (int32_t)json_number(f, "reverse_score", -REVERSE_SCORE_MAX, REVERSE_SCORE_MAX, policy->reverse_score);
    read_choice(f, "greylist", greylist, &policy->greylist);
    read_score(f, "greylist_at", &policy->greylist_at);
    policy->greylist_delay_s = (int32_t)json_number(f, "greylist_delay", 1, DELAY_MAX_S, policy->greylist_delay_s);
    policy->greylist_passes = (int32_t)json_number(f, "greylist_passes", 0, PASSES_MAX, policy->greylist_passes);
}

/* False, and answered: there is no such domain, or not of that customer. */
static AWAITS bool find_domain(struct request *r, struct slice key, int64_t *id, int64_t *customer_id)
{
    struct provision_domain domain;
    switch (provision_domain_get(r->arena, key, &domain)) {
    case DB_FOUND:
        *id = domain.id;
        *customer_id = domain.customer_id;
        return true;
    case DB_NONE: reply_problem(r, 422, "domain", "there is no such domain"); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS void client_policies_create(struct request *r)
{
    struct json_fields f;
    struct provision_policy policy = {
        .refuse_at = PROVISION_POLICY_NO_SCORE,
        .greylist_at = PROVISION_POLICY_NO_SCORE,
        .reverse_name = SLICE("ignore"),
        .greylist = SLICE("never"),
        .greylist_delay_s = 300,
        .greylist_passes = 10,
    };
    struct slice customer = {NULL, 0}, domain = {NULL, 0};
    if (!json_begin(r, &f))
        return;
    if (!json_is_null(&f, "customer"))
        customer = json_text(&f, "customer", false, 200);
    if (!json_is_null(&f, "domain"))
        domain = json_text(&f, "domain", false, NAME_MAX_BYTES);
    if (customer.p && domain.p)
        json_reject(&f, "domain", "only one of customer and domain may be given");
    read_members(&f, &policy);
    if (!json_end(&f))
        return;

    int64_t id = 0;
    struct provision_refusal refusal;
    if (customer.p && !customers_resolve(r, "customer", customer, &policy.customer_id))
        return;
    if (domain.p && !find_domain(r, domain, &policy.domain_id, &policy.customer_id))
        return;
    r->actor.status = 201;
    if (!reply_failed_write(r, provision_policy_create(r->arena, &policy, &r->actor, &id, &refusal), &refusal))
        reply_with(r, 201, id);
}

AWAITS void client_policies_show(struct request *r)
{
    struct provision_policy policy;
    if (get(r, r->key, &policy))
        reply_json(r, 200, as_json(&policy));
}

AWAITS void client_policies_change(struct request *r)
{
    struct json_fields f;
    struct provision_policy policy;
    struct provision_refusal refusal;
    if (!json_begin(r, &f) || !get(r, r->key, &policy))
        return;
    read_members(&f, &policy);
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_policy_update(r->arena, &policy, &r->actor, &refusal), &refusal))
        reply_with(r, 200, policy.id);
}

AWAITS void client_policies_delete(struct request *r)
{
    struct provision_policy policy;
    struct provision_refusal refusal;
    if (!get(r, r->key, &policy))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_policy_delete(r->arena, policy.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
