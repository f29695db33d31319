/*
 * /v1/held-accounts: accounts that are thought to be compromised.
 *
 *   POST          "account" (id or address), "reason", "then" (release, reject, discard), "hold_seconds": 30 days if not given
 *   GET, DELETE   by the account's id or address
 *
 * What such an account submits is accepted, and held for approval; the client is not told.  It is decided about in
 * /v1/queue and /v1/queue-actions, with "account" and "held_by" in the filter; so DELETE lets go only what comes
 * later.  An open breaker (/v1/breakers) is one of these: DELETE closes it, and a mark takes its place.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/provision_breaker.h"
#include "storage/provision_held_account.h"

#define REASON_MAX_BYTES 500
#define ADDRESS_MAX_BYTES 300
#define SECONDS_MAX (INT64_C(365) * 24 * 60 * 60)

static struct json_object *as_json(const void *item)
{
    const struct held_account *held = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "account", held->account_id);
    json_put_text(object, "address", held->address);
    json_put_text(object, "by", held->by);
    json_put_text(object, "reason", held->reason);
    json_put_number(object, "hold_seconds", held->hold_ms / 1000);
    json_put_text(object, "then", slice_str(hold_then_word(held->then)));
    json_put_time(object, "until", held->until_ms);
    json_put_time(object, "created_at", held->created_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct held_account), offsetof(struct held_account, account_id),
                                         as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, int64_t account_id, struct held_account *out)
{
    return reply_found(r, provision_held_account_get(r->arena, account_id, out));
}

static AWAITS bool get_by_path(struct request *r, struct held_account *out)
{
    int64_t account_id = 0;
    return accounts_of_path(r, &account_id) && get(r, account_id, out);
}

AWAITS void held_accounts_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct held_account *list = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_held_account_list(r->arena, &page, &list, &count);
    reply_page(r, status, &page, list, count, &shape);
}

AWAITS void held_accounts_create(struct request *r)
{
    static const char *const words[] = {"release", "reject", "discard", NULL};
    struct json_fields f;
    struct held_account held = {0}, made;
    struct provision_refusal refusal;
    char text[ID_TEXT_SIZE];
    if (!json_begin(r, &f))
        return;
    struct slice account = json_text(&f, "account", true, ADDRESS_MAX_BYTES);
    held.reason = json_text(&f, "reason", true, REASON_MAX_BYTES);
    held.hold_ms = json_number(&f, "hold_seconds", 60, SECONDS_MAX, HOLD_APPROVAL_MS / 1000) * 1000;
    struct slice then = json_choice(&f, "then", words);
    if (!then.p || !hold_then_parse(then, &held.then))
        json_reject(&f, "then", "must be given: release, reject or discard");
    if (!json_end(&f) || !accounts_resolve(r, "account", account, &held.account_id))
        return;
    r->actor.status = 201;
    if (reply_failed_write(r, provision_held_account_create(r->arena, &held, &r->actor, &refusal), &refusal) ||
        !get(r, held.account_id, &made))
        return;
    reply_json(r, 201, as_json(&made));
    r->reply.location = arena_printf(r->arena, "/v1/held-accounts/%s", id_print(held.account_id, text));
}

AWAITS void held_accounts_show(struct request *r)
{
    struct held_account held;
    if (get_by_path(r, &held))
        reply_json(r, 200, as_json(&held));
}

AWAITS void held_accounts_delete(struct request *r)
{
    struct held_account held;
    struct provision_refusal refusal;
    if (!get_by_path(r, &held))
        return;
    r->actor.status = 204;
    enum db_write written = held.breaker
                                ? provision_breaker_close(r->arena, held.account_id, false, &r->actor, &refusal)
                                : provision_held_account_end(r->arena, held.account_id, &r->actor, &refusal);
    if (!reply_failed_write(r, written, &refusal))
        reply_empty(r, 204);
}
