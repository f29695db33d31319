/* /v1/queue: what is on its way, one entry per recipient, in pages. */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "storage/name.h"
#include "storage/queue_view.h"

static struct slice state_word(const struct queue_view_entry *entry)
{
    return entry->active ? SLICE("active") : entry->hold.until_ms ? SLICE("held") : SLICE("waiting");
}

/* Null: it is not held. */
static void object_put_hold(struct json_object *object, const struct hold *hold)
{
    struct json_object *told = NULL;
    if (hold->until_ms) {
        told = json_object_new_object();
        json_put_text(told, "by", slice_str(hold_by_word(hold->by)));
        json_put_text(told, "reason", hold->reason);
        json_put_time(told, "until", hold->until_ms);
        json_put_text(told, "then", slice_str(hold_then_word(hold->then)));
    }
    json_object_object_add(object, "hold", told);
}

struct json_object *queue_entry_json(const struct queue_view_entry *entry)
{
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", entry->id);
    json_put_id(object, "message", entry->message_id);
    json_put_text(object, "sender", entry->sender);
    json_put_text(object, "recipient", entry->recipient);
    json_put_text(object, "destination", entry->destination);
    json_put_text(object, "state", state_word(entry));
    json_put_bool(object, "held", entry->shown);
    object_put_hold(object, &entry->hold);
    json_put_number(object, "size", (int64_t)entry->size);
    json_put_number(object, "attempts", entry->attempts);
    json_put_time(object, "received_at", entry->received_ms);
    json_put_time(object, "due_at", entry->due_ms);
    json_put_time(object, "expires_at", entry->expires_ms);
    json_put_time(object, "deliver_by", entry->deliver_by_ms);
    json_put_time(object, "last_attempt_at", entry->last_attempt_ms);
    json_put_text(object, "last_reply", entry->last_reply);
    return object;
}

AWAITS void queue_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "domain", NULL};
    struct provision_page page;
    struct queue_view_entry *entries = NULL;
    unsigned count = 0;
    int64_t next = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice given = request_query(r, "domain"), domain = {0};
    if (given.p && !name_domain(r->arena, given, &domain)) {
        reply_problem(r, 422, "domain", "must be a domain name");
        return;
    }
    if (queue_view_list(r->arena, domain, page.after, page.limit, &entries, &count, &next) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count; i++)
        json_object_array_add(items, queue_entry_json(&entries[i]));
    reply_list(r, items, next);
}
