/*
 * /v1/messages: one message and its life.
 *
 * A message is known as long as its row is kept, also after its delivery; its content is never shown here.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/event.h"
#include "storage/queue_view.h"

/* False, and answered. */
static AWAITS bool get(struct request *r, struct queue_view_message *out)
{
    int64_t id = 0;
    switch (id_parse(r->key, &id) ? queue_view_message(r->arena, id, out) : DB_NONE) {
    case DB_FOUND: return true;
    case DB_NONE: reply_not_found(r); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS void messages_show(struct request *r)
{
    struct queue_view_message message;
    if (!get(r, &message))
        return;
    struct json_object *object = json_object_new_object(), *queue = json_object_new_array();
    for (unsigned i = 0; i < message.queued_count; i++)
        json_object_array_add(queue, queue_entry_json(&message.queued[i]));
    json_put_id(object, "id", message.id);
    json_put_id(object, "customer", message.customer_id);
    json_put_id(object, "account", message.account_id);
    json_put_text(object, "sender", message.sender);
    json_put_number(object, "size", (int64_t)message.size);
    json_put_bool(object, "eight_bit", message.eight_bit);
    json_put_time(object, "received_at", message.received_ms);
    json_put_text(object, "client", message.client);
    json_put_text(object, "helo", message.helo);
    json_put_text(object, "protocol", message.protocol);
    json_put_text(object, "tls", message.tls);
    json_put_bool(object, "body_kept", !message.body_gone);
    json_put_number(object, "in_mailboxes", (int64_t)message.in_mailboxes);
    json_object_object_add(object, "queue", queue);
    reply_json(r, 200, object);
}

void reply_steps(struct request *r, const struct event_step *steps, unsigned count, unsigned limit)
{
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < limit; i++) {
        struct json_object *item = json_object_new_object();
        json_put_id(item, "id", steps[i].id);
        json_put_time(item, "at", steps[i].at_ms);
        json_put_text(item, "kind", steps[i].kind);
        json_put_text(item, "recipient", steps[i].recipient);
        json_put_text(item, "detail", steps[i].detail);
        json_put_text(item, "class", steps[i].class);
        json_put_text(item, "tls_version", steps[i].tls_version);
        json_put_text(item, "tls_cipher", steps[i].tls_cipher);
        json_put_text(item, "tls_verified", steps[i].tls_verified);
        json_put_text(item, "remote_host", steps[i].remote_host);
        json_put_text(item, "remote_address", steps[i].remote_address);
        json_object_array_add(items, item);
    }
    reply_list(r, items, count > limit ? steps[limit - 1].id : 0);
}

AWAITS void messages_events(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct queue_view_message message;
    struct event_step *steps = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page) || !get(r, &message))
        return;
    if (event_list(r->arena, message.id, page.after, page.limit + 1, &steps, &count) == DB_FAILED) {
        reply_away(r);
        return;
    }
    reply_steps(r, steps, count, page.limit);
}
