/*
 * /v1/route-rules: which mail to outside goes by which route.
 *
 *     customer, account            mail that the account submits
 *     customer, sender_domain      mail of the customer from that domain
 *     customer                     all mail of the customer
 *     customer, recipient_domain   mail of the customer to that domain
 *     recipient_domain             everybody's mail to that domain
 *
 * asked in this order (relay/outgoing.c).  Whom a rule is for is for good; its route may change, for mail that comes.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/name.h"
#include "storage/provision_route_rule.h"

#define NAME_MAX_BYTES 254

static struct json_object *as_json(const void *item)
{
    const struct provision_route_rule *rule = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", rule->id);
    json_put_id(object, "customer", rule->customer_id);
    json_put_text(object, "account", rule->account);
    json_put_text(object, "sender_domain", rule->sender_domain);
    json_put_text(object, "recipient_domain", rule->recipient_domain);
    json_put_text(object, "route", rule->route);
    json_put_time(object, "created_at", rule->created_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_route_rule), offsetof(struct provision_route_rule, id),
                                         as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_route_rule *out)
{
    return reply_found(r, provision_route_rule_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_route_rule rule;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &rule))
        return;
    reply_json(r, status, as_json(&rule));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/route-rules/%s", text);
}

AWAITS void route_rules_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", NULL};
    struct provision_page page;
    struct provision_route_rule *rules = NULL;
    unsigned count = 0;
    int64_t customer_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_route_rule_list(r->arena, customer_id, &page, &rules, &count);
    reply_page(r, status, &page, rules, count, &shape);
}

/* {NULL,0}: not given, or null. */
static struct slice read_text(struct json_fields *f, const char *name)
{
    return json_is_null(f, name) ? slice_of(NULL, 0) : json_text(f, name, false, NAME_MAX_BYTES);
}

static struct slice read_domain(struct json_fields *f, const char *name)
{
    struct slice given = read_text(f, name), domain = {NULL, 0};

    if (given.p && !name_domain(f->r->arena, given, &domain))
        json_reject(f, name, "must be a domain name of at least two labels");
    return domain;
}

AWAITS void route_rules_create(struct request *r)
{
    struct json_fields f;
    struct provision_route_rule rule = {0};
    if (!json_begin(r, &f))
        return;
    struct slice customer = read_text(&f, "customer"), account = read_text(&f, "account");
    rule.sender_domain = read_domain(&f, "sender_domain");
    rule.recipient_domain = read_domain(&f, "recipient_domain");
    struct slice route = json_text(&f, "route", true, NAME_MAX_BYTES);
    if ((account.p != NULL) + (rule.sender_domain.p != NULL) + (rule.recipient_domain.p != NULL) > 1)
        json_reject(&f, rule.recipient_domain.p ? "recipient_domain" : "sender_domain",
                    "only one of account, sender_domain and recipient_domain may be given");
    if (!customer.p && !rule.recipient_domain.p)
        json_reject(&f, "customer", "must be given, but for a rule of a recipient_domain");
    if (!json_end(&f))
        return;

    int64_t id = 0;
    struct provision_refusal refusal;
    if ((customer.p && !customers_resolve(r, "customer", customer, &rule.customer_id)) ||
        (account.p && !accounts_resolve(r, "account", account, &rule.account_id)) ||
        !routes_resolve(r, "route", route, &rule.route_id))
        return;
    r->actor.status = 201;
    if (!reply_failed_write(r, provision_route_rule_create(r->arena, &rule, &r->actor, &id, &refusal), &refusal))
        reply_with(r, 201, id);
}

AWAITS void route_rules_show(struct request *r)
{
    struct provision_route_rule rule;
    if (get(r, r->key, &rule))
        reply_json(r, 200, as_json(&rule));
}

AWAITS void route_rules_change(struct request *r)
{
    struct json_fields f;
    struct provision_route_rule rule;
    struct provision_refusal refusal;
    if (!json_begin(r, &f) || !get(r, r->key, &rule))
        return;
    struct slice route = json_text(&f, "route", false, NAME_MAX_BYTES);
    if (!json_end(&f) || (route.p && !routes_resolve(r, "route", route, &rule.route_id)))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_route_rule_update(r->arena, &rule, &r->actor, &refusal), &refusal))
        reply_with(r, 200, rule.id);
}

AWAITS void route_rules_delete(struct request *r)
{
    struct provision_route_rule rule;
    struct provision_refusal refusal;
    if (!get(r, r->key, &rule))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_route_rule_delete(r->arena, rule.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
