/*
 * /v1/queue-actions: something done to all queue entries that a filter finds.
 *
 *   POST                the action, its members, and the filter's: answers the object with the count; nothing is done yet
 *   POST {id}/start     {"count": as answered}: it begins, in the background
 *   GET {id}            how far it is
 *   POST {id}/stop      it ends behind the batch that is under way
 *
 * The filter's members are those of the query of GET /v1/queue; the action's those of /v1/queue/{entry}/ACTION.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "admin-api/queue_acts.h"
#include "admin-api/queue_words.h"
#include "core/id.h"
#include "storage/queue_bulk.h"

#define WORD_MAX_BYTES 1200 /* a destination's key is the longest */

static void put_filter(struct json_object *object, const struct queue_filter *filter)
{
    static const char *const states[] = {NULL, "waiting", "held", "active", "suspended"};
    struct json_object *told = json_object_new_object();
    json_put_text(told, "domain", filter->domain);
    json_put_text(told, "sender", filter->sender.p && !filter->sender.n ? SLICE("<>") : filter->sender);
    json_put_id(told, "customer", filter->customer_id);
    json_put_text(told, "state", slice_str(states[filter->state]));
    json_put_text(told, "held_by", filter->held_by);
    json_object_object_add(told, "quarantined",
                           filter->quarantine ? json_object_new_boolean(filter->quarantine > 0) : NULL);
    json_put_id(told, "message", filter->message_id);
    json_put_id(told, "account", filter->account_id);
    json_put_id(told, "group", filter->group_id);
    json_put_text(told, "destination", filter->destination);
    json_put_time(told, "since", filter->since_ms);
    json_put_time(told, "before", filter->before_ms);
    json_object_object_add(object, "filter", told);
}

static struct json_object *as_json(const void *item)
{
    const struct queue_bulk *bulk = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", bulk->id);
    json_put_text(object, "action", slice_str(queue_act_word(bulk->act.kind)));
    put_filter(object, &bulk->filter);
    json_put_text(object, "state", bulk->state);
    json_put_number(object, "count", bulk->matched);
    json_put_number(object, "done", bulk->done);
    json_put_number(object, "skipped", bulk->skipped);
    json_put_time(object, "created_at", bulk->created_ms);
    json_put_time(object, "started_at", bulk->started_ms);
    json_put_time(object, "ended_at", bulk->ended_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct queue_bulk), offsetof(struct queue_bulk, id), as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct queue_bulk *out)
{
    int64_t id = 0;
    switch (id_parse(key, &id) ? queue_bulk_get(r->arena, id, out) : DB_NONE) {
    case DB_FOUND: return true;
    case DB_NONE: reply_not_found(r); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct queue_bulk bulk;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &bulk))
        return;
    reply_json(r, status, as_json(&bulk));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/queue-actions/%s", text);
}

AWAITS void queue_actions_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct queue_bulk *list = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = queue_bulk_list(r->arena, &page, &list, &count);
    reply_page(r, status, &page, list, count, &shape);
}

AWAITS void queue_actions_create(struct request *r)
{
    static const char *const kinds[] = {"retry",  "hold",     "release",  "reject", "expire",
                                        "cancel", "redirect", "priority", NULL};
    struct json_fields f;
    struct queue_bulk bulk = {0};
    if (!json_begin(r, &f))
        return;
    struct slice kind = json_choice(&f, "action", kinds);
    enum queue_act_kind which = QUEUE_ACT_RETRY;
    if (!kind.p || !queue_act_parse(kind, &which))
        json_reject(&f, "action", "must be given: retry, hold, release, reject, expire, cancel, redirect or priority");
    queue_acts_read(&f, which, &bulk.act);
    const struct queue_words words = {
        .domain = json_text(&f, "domain", false, WORD_MAX_BYTES),
        .sender = json_text(&f, "sender", false, WORD_MAX_BYTES),
        .customer = json_text(&f, "customer", false, WORD_MAX_BYTES),
        .state = json_text(&f, "state", false, WORD_MAX_BYTES),
        .held_by = json_text(&f, "held_by", false, WORD_MAX_BYTES),
        .quarantined = !json_given(&f, "quarantined")        ? (struct slice){NULL, 0}
                       : json_flag(&f, "quarantined", false) ? SLICE("true")
                                                             : SLICE("false"),
        .message = json_text(&f, "message", false, WORD_MAX_BYTES),
        .account = json_text(&f, "account", false, WORD_MAX_BYTES),
        .group = json_text(&f, "group", false, WORD_MAX_BYTES),
        .destination = json_text(&f, "destination", false, WORD_MAX_BYTES),
        .older_than = json_text(&f, "older_than", false, WORD_MAX_BYTES),
        .newer_than = json_text(&f, "newer_than", false, WORD_MAX_BYTES),
    };
    if (!json_end(&f) || !queue_words_read(r, &words, &bulk.filter))
        return;
    struct provision_refusal refusal;
    r->actor.status = 201;
    if (!reply_failed_write(r, queue_bulk_create(r->arena, &bulk, &r->actor, &refusal), &refusal))
        reply_with(r, 201, bulk.id);
}

AWAITS void queue_actions_show(struct request *r)
{
    struct queue_bulk bulk;
    if (get(r, r->key, &bulk))
        reply_json(r, 200, as_json(&bulk));
}

AWAITS void queue_actions_start(struct request *r)
{
    struct json_fields f;
    struct queue_bulk bulk;
    struct provision_refusal refusal;
    if (!json_begin(r, &f))
        return;
    if (!json_given(&f, "count"))
        json_reject(&f, "count", "must be given: as it was answered");
    int64_t count = json_number(&f, "count", 0, INT64_MAX, 0);
    if (!json_end(&f) || !get(r, r->key, &bulk))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, queue_bulk_start(r->arena, bulk.id, count, &r->actor, &refusal), &refusal))
        reply_with(r, 200, bulk.id);
}

AWAITS void queue_actions_stop(struct request *r)
{
    struct json_fields f;
    struct queue_bulk bulk;
    struct provision_refusal refusal;
    if (r->body.n && (!json_begin(r, &f) || !json_end(&f)))
        return;
    if (!get(r, r->key, &bulk))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, queue_bulk_stop(r->arena, bulk.id, &r->actor, &refusal), &refusal))
        reply_with(r, 200, bulk.id);
}
