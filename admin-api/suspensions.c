/*
 * /v1/suspensions: destinations, senders and customers whose mail is not delivered for now, with the reason, until
 * they expire or are deleted.  Their mail is accepted, and waits.
 *
 *   destination   a key as queue entries show it ("mx:example.com", "domain:...", "default"), or a recipients' domain
 *   sender        an address; <> is the null sender
 *   customer      id or name
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "admin-api/queue_words.h"
#include "core/clock.h"
#include "core/id.h"
#include "relay/route.h"
#include "storage/name.h"
#include "storage/provision_suspension.h"

#define VALUE_MAX_BYTES 1200
#define REASON_MAX_BYTES 500

static struct json_object *as_json(const struct suspension *suspension)
{
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", suspension->id);
    json_put_text(object, "kind", slice_str(suspension_kind_word(suspension->kind)));
    if (suspension->kind == SUSPENSION_CUSTOMER)
        json_put_id(object, "value", strtoll(suspension->value.p, NULL, 10));
    else
        json_put_text(object, "value", suspension->value.n ? suspension->value : SLICE("<>"));
    json_put_text(object, "reason", suspension->reason);
    json_put_time(object, "expires_at", suspension->expires_ms);
    json_put_time(object, "created_at", suspension->created_ms);
    return object;
}

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct suspension *out)
{
    int64_t id = 0;
    switch (id_parse(key, &id) ? provision_suspension_get(r->arena, id, out) : DB_NONE) {
    case DB_FOUND:
        out->value = slice_str(arena_slicedup(r->arena, out->value)); /* ends with NUL */
        return true;
    case DB_NONE: reply_not_found(r); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS void suspensions_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct suspension *list = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    unsigned limit = page.limit++;
    if (provision_suspension_list(r->arena, &page, &list, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < limit; i++) {
        list[i].value = slice_str(arena_slicedup(r->arena, list[i].value));
        json_object_array_add(items, as_json(&list[i]));
    }
    reply_list(r, items, count > limit ? list[limit - 1].id : 0);
}

/* False, and answered: it is none of this kind. */
static AWAITS bool read_value(struct request *r, struct slice given, struct suspension *out)
{
    struct route_key key;
    int64_t customer_id = 0;
    switch (out->kind) {
    case SUSPENSION_DESTINATION:
        out->value = queue_words_destination(r->arena, given);
        if (route_parse_key(out->value, &key) && key.kind != ROUTE_MAILBOX)
            return true;
        if (name_domain(r->arena, given, &out->value))
            return true;
        reply_problem(r, 422, "value", "must be a domain name, or a destination as queue entries show it");
        return false;
    case SUSPENSION_SENDER:
        out->value = slice_equal(given, SLICE("<>")) ? SLICE("") : name_key(r->arena, given);
        if (!out->value.n || memchr(given.p, '@', given.n))
            return true;
        reply_problem(r, 422, "value", "must be an address, or <> for the null sender");
        return false;
    case SUSPENSION_CUSTOMER:
        if (!customers_resolve(r, "value", given, &customer_id))
            return false;
        out->value = slice_str(arena_printf(r->arena, "%lld", (long long)customer_id));
        return true;
    }
    return false;
}

AWAITS void suspensions_create(struct request *r)
{
    static const char *const kinds[] = {"destination", "sender", "customer", NULL};
    struct json_fields f;
    struct suspension suspension = {.expires_ms = INT64_MIN}, made;
    struct provision_refusal refusal;
    char text[ID_TEXT_SIZE];
    if (!json_begin(r, &f))
        return;
    struct slice kind = json_choice(&f, "kind", kinds);
    if (!kind.p || !suspension_kind_parse(kind, &suspension.kind))
        json_reject(&f, "kind", "must be given: destination, sender or customer");
    struct slice value = json_text(&f, "value", true, VALUE_MAX_BYTES);
    suspension.reason = json_text(&f, "reason", true, REASON_MAX_BYTES);
    suspension.expires_ms = json_time(&f, "expires_at", INT64_MIN);
    if (suspension.expires_ms != INT64_MIN && suspension.expires_ms <= clock_now_ms())
        json_reject(&f, "expires_at", "must be later than now");
    if (!json_end(&f) || !read_value(r, value, &suspension))
        return;
    r->actor.status = 201;
    if (reply_failed_write(r, provision_suspension_create(r->arena, &suspension, &r->actor, &refusal), &refusal) ||
        !get(r, slice_str(id_print(suspension.id, text)), &made))
        return;
    reply_json(r, 201, as_json(&made));
    r->reply.location = arena_printf(r->arena, "/v1/suspensions/%s", text);
}

AWAITS void suspensions_show(struct request *r)
{
    struct suspension suspension;
    if (get(r, r->key, &suspension))
        reply_json(r, 200, as_json(&suspension));
}

AWAITS void suspensions_delete(struct request *r)
{
    struct suspension suspension;
    struct provision_refusal refusal;
    if (!get(r, r->key, &suspension))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_suspension_end(r->arena, suspension.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
