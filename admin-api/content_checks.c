/*
 * POST /v1/content-rules/check: which rule a message would fall under.  Nothing is sent or changed.
 *
 *   "customer", "direction", "sender" ("<>": the null sender), "recipient"
 *   "size": bytes; "headers": [{"name", "value"}], decoded; "attachments": [{"name", "type"}], "name" may be null
 *
 * Answers the rule that decides, or null, and how many of the customer's rules are asked in that direction.  The process
 * of the API has the rules in memory as the workers have them, and reads them anew before it answers.
 */
#include <json-c/json.h>

#include "admin-api/content_rules.h"
#include "admin-api/handlers.h"
#include "relay/content_match.h"
#include "storage/known.h"
#include "storage/name.h"

#define KEY_MAX_BYTES 300
#define ADDRESS_MAX_BYTES 400
#define FIELDS_MAX 100
#define PARTS_MAX 50
#define VALUE_MAX_BYTES 4096

static bool read_fields(struct json_fields *f, struct content_message *out)
{
    unsigned count = 0;
    struct json_object *array = json_array(f, "headers", FIELDS_MAX, &count);
    struct content_field *fields = arena_array(f->r->arena, count + 1, sizeof *fields);
    for (unsigned i = 0; array && i < count && !f->failed; i++) {
        struct json_fields e;
        if (!json_element(f, array, i, "headers", &e))
            return false;
        fields[i].name = json_text(&e, "name", true, VALUE_MAX_BYTES);
        fields[i].value = json_text(&e, "value", true, VALUE_MAX_BYTES);
        f->failed = !json_end(&e); /* it has answered */
    }
    out->fields = fields;
    out->field_count = count;
    return true;
}

static bool read_parts(struct json_fields *f, struct content_message *out)
{
    unsigned count = 0;
    struct json_object *array = json_array(f, "attachments", PARTS_MAX, &count);
    struct content_part *parts = arena_array(f->r->arena, count + 1, sizeof *parts);
    for (unsigned i = 0; array && i < count && !f->failed; i++) {
        struct json_fields e;
        if (!json_element(f, array, i, "attachments", &e))
            return false;
        if (!json_is_null(&e, "name"))
            parts[i].name = json_text(&e, "name", false, VALUE_MAX_BYTES);
        parts[i].type = json_text(&e, "type", true, VALUE_MAX_BYTES);
        f->failed = !json_end(&e); /* it has answered */
    }
    out->parts = parts;
    out->part_count = count;
    return true;
}

static void answer(struct request *r, const struct content_message *message, int64_t customer_id, bool outgoing,
                   struct slice recipient)
{
    unsigned count, asked = 0;
    const struct content_rule *rules = content_rules_of(customer_id, &count);
    struct content_match match;
    content_match_begin(r->arena, rules, count, message, &match);
    const struct content_rule *rule = content_match_find(
        &match, outgoing, message->sender.n ? name_address_domain(message->sender) : SLICE(""), recipient);
    for (unsigned i = 0; i < count; i++)
        asked += rules[i].outgoing == outgoing;
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "rule", rule ? content_rule_json(rule) : NULL);
    json_put_text(object, "action", rule ? slice_str(content_action_word(rule->action)) : (struct slice){NULL, 0});
    json_put_number(object, "rules", asked);
    json_put_number(object, "given_up", match.too_hard);
    reply_json(r, 200, object);
}

AWAITS void content_rules_check(struct request *r)
{
    static const char *const directions[] = {"in", "out", NULL};
    struct json_fields f;
    struct content_message message = {0};
    int64_t customer_id = 0;
    if (!json_begin(r, &f))
        return;
    struct slice customer = json_text(&f, "customer", true, KEY_MAX_BYTES);
    struct slice direction = json_choice(&f, "direction", directions);
    if (!direction.p)
        json_reject(&f, "direction", "must be given: in or out");
    struct slice sender = json_text(&f, "sender", true, ADDRESS_MAX_BYTES);
    struct slice recipient = json_text(&f, "recipient", true, ADDRESS_MAX_BYTES);
    message.size = (uint64_t)json_number(&f, "size", 0, INT64_MAX / 2, 0);
    if (!read_fields(&f, &message) || !read_parts(&f, &message) || !json_end(&f) ||
        !customers_resolve(r, "customer", customer, &customer_id))
        return;
    message.sender = slice_equal(sender, SLICE("<>")) ? SLICE("") : name_key(r->arena, sender);
    recipient = name_key(r->arena, recipient);
    if ((message.sender.n && !memchr(message.sender.p, '@', message.sender.n)) ||
        !memchr(recipient.p, '@', recipient.n))
        reply_problem(r, 422, memchr(recipient.p, '@', recipient.n) ? "sender" : "recipient", "must be an address");
    else if (known_refresh() == DB_FAILED)
        reply_away(r);
    else
        answer(r, &message, customer_id, slice_equal(direction, SLICE("out")), recipient);
}
