/*
 * /v1/content-rules: what a customer wants to be held, quarantined or refused for what it is.
 *
 *   "customer"; "domain": one of the customer's, null is all
 *   "direction"       in: what comes in for the customer's recipients; out: what its senders send
 *   "priority"        0 to 1000, 100 if not given; lower is asked first, and the first that fits decides
 *   conditions, of which all that are given must hold, and one must be given:
 *     "header" and "header_pattern"; "sender_pattern"; "recipient_pattern"; "attachment_name_pattern";
 *     "attachment_type_pattern" (of one and the same attachment); "size_over": bytes
 *   "action"          hold, quarantine (until approval, "hold_seconds" at most, then "then"), refuse (550 with "reason")
 *
 * Patterns are PCRE2, found anywhere, whatever the case.  Which rule a message would fall under: content_checks.c.
 */
#include "admin-api/content_rules.h"

#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "core/id.h"
#include "storage/provision_content_rule.h"

#define KEY_MAX_BYTES 300
#define REASON_MAX_BYTES 200
#define LABEL_MAX_BYTES 200
#define HEADER_MAX_BYTES 100
#define SECONDS_MAX (INT64_C(365) * 24 * 60 * 60)
#define PRIORITY_DEFAULT 100

struct json_object *content_rule_json(const struct content_rule *rule)
{
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", rule->id);
    json_put_id(object, "customer", rule->customer_id);
    json_put_text(object, "domain", rule->domain);
    json_put_text(object, "label", rule->label);
    json_put_text(object, "direction", rule->outgoing ? SLICE("out") : SLICE("in"));
    json_put_number(object, "priority", rule->priority);
    json_put_text(object, "header", rule->header);
    for (unsigned i = 0; i < CONTENT_PATTERNS; i++)
        json_put_text(object, content_pattern_name(i), rule->text[i]);
    json_object_object_add(object, "size_over", rule->size_over < 0 ? NULL : json_object_new_int64(rule->size_over));
    json_put_text(object, "action", slice_str(content_action_word(rule->action)));
    json_put_text(object, "reason", rule->reason);
    json_put_number(object, "hold_seconds", rule->hold_ms / 1000);
    json_put_text(object, "then", slice_str(hold_then_word(rule->then)));
    json_put_time(object, "created_at", rule->created_ms);
    return object;
}

static struct json_object *as_json(const void *item)
{
    return content_rule_json(item);
}

static const struct reply_shape shape = {sizeof(struct content_rule), offsetof(struct content_rule, id), as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct content_rule *out)
{
    return reply_found(r, provision_content_rule_get(r->arena, key, out));
}

AWAITS void content_rules_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", NULL};
    struct provision_page page;
    struct content_rule *list = NULL;
    unsigned count = 0;
    int64_t customer_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_content_rule_list(r->arena, customer_id, &page, &list, &count);
    reply_page(r, status, &page, list, count, &shape);
}

/* A member that null takes away. */
static void read_text(struct json_fields *f, const char *name, size_t max, struct slice *out)
{
    if (json_is_null(f, name))
        *out = (struct slice){NULL, 0};
    else if (json_given(f, name))
        *out = json_text(f, name, true, max);
}

static void read_pattern(struct json_fields *f, enum content_pattern which, struct content_rule *rule)
{
    const char *name = content_pattern_name(which);
    char why[PATTERN_WHY_SIZE];
    read_text(f, name, PATTERN_MAX_BYTES, &rule->text[which]);
    if (!rule->text[which].p)
        return;
    struct pattern *pattern = pattern_new(rule->text[which], why);
    if (!pattern)
        json_reject(f, name, "must be a pattern (PCRE2): %s", why);
    pattern_free(&pattern);
}

static bool is_field_name(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == ':') /* RFC 5322 2.2 */
            return false;
    return true;
}

static void read_members(struct json_fields *f, struct content_rule *rule)
{
    static const char *const directions[] = {"in", "out", NULL},
                             *const actions[] = {"hold", "quarantine", "refuse", NULL},
                             *const thens[] = {"release", "reject", "discard", NULL};
    struct slice word = json_choice(f, "direction", directions);
    if (word.p)
        rule->outgoing = slice_equal(word, SLICE("out"));
    rule->priority = (int32_t)json_number(f, "priority", 0, 1000, rule->priority);
    read_text(f, "label", LABEL_MAX_BYTES, &rule->label);
    read_text(f, "header", HEADER_MAX_BYTES, &rule->header);
    if (rule->header.p && !is_field_name(rule->header))
        json_reject(f, "header", "must be the name of a header field");
    for (unsigned i = 0; i < CONTENT_PATTERNS; i++)
        read_pattern(f, i, rule);
    rule->size_over =
        json_is_null(f, "size_over") ? -1 : json_number(f, "size_over", 0, INT64_MAX / 2, rule->size_over);
    word = json_choice(f, "action", actions);
    if (word.p && !content_action_parse(word, &rule->action))
        json_reject(f, "action", "must be hold, quarantine or refuse");
    if (json_given(f, "reason"))
        rule->reason = json_text(f, "reason", true, REASON_MAX_BYTES);
    rule->hold_ms = json_number(f, "hold_seconds", 60, SECONDS_MAX, rule->hold_ms / 1000) * 1000;
    word = json_choice(f, "then", thens);
    if (word.p)
        hold_then_parse(word, &rule->then);
}

static void require(struct json_fields *f, const char *name, const char *what)
{
    if (!json_given(f, name) || json_is_null(f, name))
        json_reject(f, name, "must be given: %s", what);
}

/* "domain": null is all of the customer's. */
static AWAITS bool resolve_domain(struct request *r, bool given, struct slice domain, struct content_rule *rule)
{
    if (given)
        rule->domain_id = 0;
    return !domain.p || domains_resolve(r, "domain", domain, &rule->domain_id);
}

AWAITS void content_rules_create(struct request *r)
{
    struct json_fields f;
    struct provision_refusal refusal;
    struct content_rule rule = {.priority = PRIORITY_DEFAULT, .size_over = -1, .hold_ms = HOLD_APPROVAL_MS}, made;
    char text[ID_TEXT_SIZE];
    if (!json_begin(r, &f))
        return;
    struct slice customer = json_text(&f, "customer", true, KEY_MAX_BYTES), domain = {NULL, 0};
    read_text(&f, "domain", KEY_MAX_BYTES, &domain);
    require(&f, "direction", "in or out");
    require(&f, "action", "hold, quarantine or refuse");
    require(&f, "reason", "a sentence");
    read_members(&f, &rule);
    if (rule.action != CONTENT_DO_REFUSE)
        require(&f, "then", "release, reject or discard");
    if (!json_end(&f) || !customers_resolve(r, "customer", customer, &rule.customer_id) ||
        !resolve_domain(r, true, domain, &rule))
        return;
    r->actor.status = 201;
    if (reply_failed_write(r, provision_content_rule_create(r->arena, &rule, &r->actor, &refusal), &refusal) ||
        !get(r, slice_str(id_print(rule.id, text)), &made))
        return;
    reply_json(r, 201, content_rule_json(&made));
    r->reply.location = arena_printf(r->arena, "/v1/content-rules/%s", text);
}

AWAITS void content_rules_show(struct request *r)
{
    struct content_rule rule;
    if (get(r, r->key, &rule))
        reply_json(r, 200, content_rule_json(&rule));
}

AWAITS void content_rules_change(struct request *r)
{
    struct json_fields f;
    struct provision_refusal refusal;
    struct content_rule rule, made;
    struct slice domain = {NULL, 0};
    if (!json_begin(r, &f) || !get(r, r->key, &rule))
        return;
    bool domain_given = json_given(&f, "domain");
    read_text(&f, "domain", KEY_MAX_BYTES, &domain);
    read_members(&f, &rule);
    if (!json_end(&f) || !resolve_domain(r, domain_given, domain, &rule))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_content_rule_change(r->arena, &rule, &r->actor, &refusal), &refusal) &&
        get(r, r->key, &made))
        reply_json(r, 200, content_rule_json(&made));
}

AWAITS void content_rules_delete(struct request *r)
{
    struct content_rule rule;
    struct provision_refusal refusal;
    if (!get(r, r->key, &rule))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_content_rule_delete(r->arena, rule.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
