/*
 * /v1/decisions: one refusal, by the id in its SMTP reply.
 *
 * What it says is what relay-checks say beforehand: verdict, why, grant, limit, and the reply.  It tells what was
 * decided then; what would be decided now, relay-checks tell.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/decision.h"

static struct json_object *decision_json(const struct decision *d)
{
    struct json_object *object = json_object_new_object(), *reply = json_object_new_object();

    json_put_id(object, "id", d->id);
    json_put_time(object, "at", d->at_ms);
    json_put_text(object, "command", d->command);
    json_put_text(object, "client", d->client);
    json_put_id(object, "account", d->account_id);
    json_put_bool(object, "tls", d->tls);
    json_put_text(object, "certificate", d->certificate);
    json_put_text(object, "sender", d->sender);
    json_put_text(object, "recipient", d->recipient);
    if (d->size)
        json_put_number(object, "size", (int64_t)d->size);
    else
        json_object_object_add(object, "size", NULL);
    json_put_text(object, "verdict", d->verdict);
    json_put_text(object, "why", d->reason);
    json_put_id(object, "grant", d->grant_id);
    json_put_text(object, "limit", d->limit);
    json_put_number(reply, "code", d->code);
    json_put_text(reply, "enhanced", d->enhanced);
    json_put_text(reply, "text", d->text);
    json_object_object_add(object, "reply", reply);
    json_put_number(object, "tarpit_ms", d->tarpit_ms);
    return object;
}

AWAITS void decisions_show(struct request *r)
{
    struct decision decision;
    int64_t id = 0;

    switch (id_parse(r->key, &id) ? decision_find(r->arena, id, &decision) : DB_NONE) {
    case DB_FOUND: reply_json(r, 200, decision_json(&decision)); return;
    case DB_NONE: reply_not_found(r); return;
    case DB_FAILED: break;
    }
    reply_away(r);
}
