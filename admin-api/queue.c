/*
 * /v1/queue: what is on its way, one entry per recipient, in pages; and what an administrator does to one.  The answer
 * is the entry as it stands then, or stood before it went; what is to be done is carried out within about a second.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "admin-api/queue_acts.h"
#include "admin-api/queue_words.h"
#include "core/clock.h"
#include "core/id.h"
#include "storage/event.h"
#include "storage/provision_queue.h"
#include "storage/queue_filter.h"
#include "storage/queue_view.h"

#define FAR_MS (INT64_C(50) * 365 * 24 * 60 * 60 * 1000)

/* What is suspended until somebody resumes it has no time. */
static void put_time(struct json_object *object, const char *name, int64_t ms)
{
    json_put_time(object, name, ms > clock_now_ms() + FAR_MS ? INT64_MIN : ms);
}

static struct slice state_word(const struct queue_view_entry *entry)
{
    if (entry->suspension.id && !entry->active)
        return SLICE("suspended");
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
        put_time(told, "until", hold->until_ms);
        json_put_text(told, "then", slice_str(hold_then_word(hold->then)));
        json_put_bool(told, "approval", hold->approval);
        json_put_bool(told, "quarantine", hold->quarantine);
    }
    json_object_object_add(object, "hold", told);
}

/* Null: it is not suspended. */
static void object_put_suspension(struct json_object *object, const struct queue_view_entry *entry)
{
    struct json_object *told = NULL;
    if (entry->suspension.id) {
        told = json_object_new_object();
        json_put_id(told, "id", entry->suspension.id);
        json_put_text(told, "reason", entry->suspension.reason);
        json_put_time(told, "until", entry->suspension.until_ms);
    }
    json_object_object_add(object, "suspension", told);
}

struct json_object *queue_entry_json(const struct queue_view_entry *entry)
{
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", entry->id);
    json_put_id(object, "message", entry->message_id);
    json_put_text(object, "sender", entry->sender);
    json_put_text(object, "recipient", entry->recipient);
    json_put_text(object, "destination", entry->destination);
    json_put_text(object, "redirected_from", entry->redirected_from);
    json_put_text(object, "state", state_word(entry));
    json_put_bool(object, "held", entry->shown);
    object_put_hold(object, &entry->hold);
    json_put_id(object, "group", entry->group_id);
    object_put_suspension(object, entry);
    json_put_number(object, "size", (int64_t)entry->size);
    json_put_number(object, "priority", entry->priority);
    json_put_number(object, "attempts", entry->attempts);
    json_put_time(object, "received_at", entry->received_ms);
    put_time(object, "due_at", entry->due_ms);
    put_time(object, "expires_at", entry->expires_ms);
    json_put_time(object, "deliver_by", entry->deliver_by_ms);
    json_put_time(object, "last_attempt_at", entry->last_attempt_ms);
    json_put_text(object, "last_reply", entry->last_reply);
    json_put_time(object, "uncertain_at", entry->uncertain_ms);
    return object;
}

AWAITS void queue_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit",       "domain",      "sender",     "customer",
                                             "state",  "held_by",     "quarantined", "message",    "account",
                                             "group",  "destination", "older_than",  "newer_than", NULL};
    struct provision_page page;
    struct queue_filter filter;
    struct queue_view_entry *entries = NULL;
    unsigned count = 0;
    int64_t next = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    const struct queue_words words = {
        .domain = request_query(r, "domain"),
        .sender = request_query(r, "sender"),
        .customer = request_query(r, "customer"),
        .state = request_query(r, "state"),
        .held_by = request_query(r, "held_by"),
        .quarantined = request_query(r, "quarantined"),
        .message = request_query(r, "message"),
        .account = request_query(r, "account"),
        .group = request_query(r, "group"),
        .destination = request_query(r, "destination"),
        .older_than = request_query(r, "older_than"),
        .newer_than = request_query(r, "newer_than"),
    };
    if (!queue_words_read(r, &words, &filter))
        return;
    if (queue_filter_list(r->arena, &filter, page.after, page.limit, &entries, &count, &next) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count; i++)
        json_object_array_add(items, queue_entry_json(&entries[i]));
    reply_list(r, items, next);
}

/* ------------------------------------------------------------------ one entry */

/* False, and answered. */
static AWAITS bool get(struct request *r, struct queue_view_entry *out)
{
    int64_t id = 0;
    switch (id_parse(r->key, &id) ? queue_view_entry(r->arena, id, out) : DB_NONE) {
    case DB_FOUND: return true;
    case DB_NONE: reply_not_found(r); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS void queue_entry_show(struct request *r)
{
    struct queue_view_entry entry;
    if (get(r, &entry))
        reply_json(r, 200, queue_entry_json(&entry));
}

AWAITS void queue_entry_attempts(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct queue_view_entry entry;
    struct event_step *steps = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page) || !get(r, &entry))
        return;
    if (event_attempts(r->arena, entry.message_id, entry.recipient, page.after, page.limit + 1, &steps, &count) ==
        DB_FAILED)
        reply_away(r);
    else
        reply_steps(r, steps, count, page.limit);
}

/* It may be gone by now, so the answer is what was, with the decision. */
static void reply_decided(struct request *r, struct queue_view_entry *entry, enum hold_then then)
{
    if (!entry->hold.until_ms)
        entry->hold = (struct hold){.by = HOLD_BY_ADMINISTRATOR, .reason = SLICE("rejected")};
    entry->hold.until_ms = clock_now_ms();
    entry->hold.then = then;
    reply_json(r, 200, queue_entry_json(entry));
}

static AWAITS void act_on(struct request *r, enum queue_act_kind kind)
{
    struct queue_view_entry entry;
    struct provision_refusal refusal;
    struct queue_act act;
    if (!queue_acts_read_body(r, kind, &act) || !get(r, &entry))
        return;
    r->actor.status = 200;
    if (reply_failed_write(r, provision_queue_act(r->arena, entry.id, &act, &r->actor, &refusal), &refusal))
        return;
    switch (act.kind) {
    case QUEUE_ACT_RETRY:
    case QUEUE_ACT_HOLD:
    case QUEUE_ACT_REDIRECT:
    case QUEUE_ACT_PRIORITY: queue_entry_show(r); break;
    case QUEUE_ACT_RELEASE: reply_decided(r, &entry, HOLD_THEN_RELEASE); break;
    case QUEUE_ACT_REJECT: reply_decided(r, &entry, HOLD_THEN_REJECT); break;
    case QUEUE_ACT_EXPIRE: reply_decided(r, &entry, entry.hold.then); break;
    case QUEUE_ACT_CANCEL: reply_json(r, 200, queue_entry_json(&entry)); break;
    }
}

AWAITS void queue_entry_retry(struct request *r)
{
    act_on(r, QUEUE_ACT_RETRY);
}

AWAITS void queue_entry_hold(struct request *r)
{
    act_on(r, QUEUE_ACT_HOLD);
}

AWAITS void queue_entry_release(struct request *r)
{
    act_on(r, QUEUE_ACT_RELEASE);
}

AWAITS void queue_entry_reject(struct request *r)
{
    act_on(r, QUEUE_ACT_REJECT);
}

AWAITS void queue_entry_expire(struct request *r)
{
    act_on(r, QUEUE_ACT_EXPIRE);
}

AWAITS void queue_entry_cancel(struct request *r)
{
    act_on(r, QUEUE_ACT_CANCEL);
}

AWAITS void queue_entry_redirect(struct request *r)
{
    act_on(r, QUEUE_ACT_REDIRECT);
}

AWAITS void queue_entry_priority(struct request *r)
{
    act_on(r, QUEUE_ACT_PRIORITY);
}
