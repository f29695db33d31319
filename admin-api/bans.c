/*
 * /v1/bans: who may not sign in for a while because too much failed (storage/guard.h).  They are made by failures and
 * end by themselves; DELETE ends one now.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "storage/provision_ban.h"

static struct json_object *as_json(const void *item)
{
    const struct provision_ban *ban = item;
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

static const struct reply_shape shape = {sizeof(struct provision_ban), offsetof(struct provision_ban, id), as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct provision_ban *out)
{
    return reply_found(r, provision_ban_get(r->arena, r->key, out));
}

AWAITS void bans_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct provision_ban *bans = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_ban_list(r->arena, &page, &bans, &count);
    reply_page(r, status, &page, bans, count, &shape);
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
