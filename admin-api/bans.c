/*
 * /v1/bans: who may not sign in for a while because too much failed (storage/guard.h).  They are made by failures and
 * end by themselves; DELETE ends one now.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "storage/provision_ban.h"

static struct json_object *as_json(const struct provision_ban *ban)
{
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", ban->id);
    json_put_text(object, "kind", ban->of_account ? SLICE("account") : SLICE("address"));
    json_put_text(object, "client", ban->client);
    json_put_text(object, "login", ban->account);
    json_put_number(object, "failures", ban->failures);
    json_put_time(object, "since", ban->since_ms);
    json_put_time(object, "until", ban->until_ms);
    return object;
}

/* False, and answered. */
static AWAITS bool get(struct request *r, struct provision_ban *out)
{
    switch (provision_ban_get(r->arena, r->key, out)) {
    case DB_FOUND: return true;
    case DB_NONE: reply_not_found(r); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS void bans_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct provision_ban *bans = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    unsigned limit = page.limit++;
    if (provision_ban_list(r->arena, &page, &bans, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < limit; i++)
        json_object_array_add(items, as_json(&bans[i]));
    reply_list(r, items, count > limit ? bans[limit - 1].id : 0);
}

AWAITS void bans_show(struct request *r)
{
    struct provision_ban ban;
    if (get(r, &ban))
        reply_json(r, 200, as_json(&ban));
}

AWAITS void bans_delete(struct request *r)
{
    struct provision_ban ban;
    struct provision_refusal refusal;
    if (!get(r, &ban))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_ban_lift(r->arena, ban.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
