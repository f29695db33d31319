/*
 * Invitations: links by which the owner of an account sets his password.
 *
 *     /v1/accounts/{account}/invitations     make one, list, show, revoke
 *     /v1/domains/{domain}/invitations       for all accounts of a domain that have no password, a page at a time
 *     /v1/invitations/{invitation_token}     use one, without an API token: the invitation's is enough
 *
 * The secret is in the answer to the POST that makes it, once.  An account has one invitation; making another revokes
 * it.  invitation_page.c is the same use for a browser.
 *
 * Whoever tries tokens is slowed down by address and in all, before the database is asked; a token has 256 bits.
 */
#include "admin-api/invitations.h"

#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/rate.h"
#include "storage/credential.h"
#include "storage/provision_domain.h"
#include "storage/provision_invitation.h"

#define DAY_MS INT64_C(86400000)
#define DEFAULT_MS (7 * DAY_MS)
#define MOST_MS (30 * DAY_MS)
#define ADDRESS_USES 30 /* of invitations, by one client in a minute */
#define ALL_USES 600

enum { RATE_CLIENT = 100, RATE_ALL }; /* protocols/limit.c has those from 1 on */

static const char *base = "";

void invitations_configure(const char *url)
{
    base = url ? url : "";
}

static void put_secret(struct request *r, struct json_object *object, const struct provision_invitation *one)
{
    json_put_text(object, "token", slice_str(one->text));
    json_put_text(object, "link",
                  *base ? slice_str(arena_printf(r->arena, "%s%s", base, one->text)) : slice_of(NULL, 0));
}

static struct json_object *as_json(const struct provision_invitation *one)
{
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", one->id);
    json_put_id(object, "account", one->account_id);
    json_put_text(object, "address", one->address);
    json_put_time(object, "created_at", one->created_ms);
    json_put_time(object, "expires_at", one->expires_ms);
    return object;
}

static int64_t read_expiry(struct json_fields *f)
{
    int64_t now = clock_now_ms(), at = json_time(f, "expires_at", INT64_MIN);
    if (at == INT64_MIN)
        return now + DEFAULT_MS;
    if (at <= now || at > now + MOST_MS)
        json_reject(f, "expires_at", "must be later than now, by 30 days at most");
    return at;
}

/* ------------------------------------------------------------------ of one account */

static AWAITS bool list_of_path(struct request *r, const struct provision_page *page,
                                struct provision_invitation **list, unsigned *count)
{
    int64_t account_id = 0;
    if (!accounts_of_path(r, &account_id))
        return false;
    if (provision_invitation_list(r->arena, account_id, page, list, count) == DB_FOUND)
        return true;
    reply_away(r);
    return false;
}

AWAITS void invitations_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_invitation *list = NULL;
    struct provision_page page;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page) || !list_of_path(r, &page, &list, &count))
        return;
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count; i++)
        json_object_array_add(items, as_json(&list[i]));
    reply_list(r, items, 0); /* there is one at most */
}

AWAITS void invitations_show(struct request *r)
{
    const struct provision_page page = {0, 1};
    struct provision_invitation *list = NULL;
    unsigned count = 0;
    int64_t id = 0;
    if (!list_of_path(r, &page, &list, &count))
        return;
    if (count && id_parse(r->key2, &id) && list->id == id)
        reply_json(r, 200, as_json(list));
    else
        reply_not_found(r);
}

AWAITS void invitations_create(struct request *r)
{
    struct json_fields f;
    struct provision_invitation one = {0}, *made = NULL;
    struct provision_refusal refusal;
    const struct provision_page page = {0, 1};
    char account[ID_TEXT_SIZE], id[ID_TEXT_SIZE];
    unsigned count = 0;
    if (!json_begin(r, &f))
        return;
    one.expires_ms = read_expiry(&f);
    if (!json_end(&f) || !accounts_of_path(r, &one.account_id))
        return;
    r->actor.status = 201;
    if (reply_failed_write(r, provision_invitation_create(r->arena, &one, 1, &r->actor, &refusal), &refusal) ||
        !list_of_path(r, &page, &made, &count))
        return;
    if (!count || made->id != one.id) { /* somebody has made another since */
        reply_not_found(r);
        return;
    }
    struct json_object *object = as_json(made);
    put_secret(r, object, &one);
    reply_json(r, 201, object);
    r->reply.location = arena_printf(r->arena, "/v1/accounts/%s/invitations/%s", id_print(one.account_id, account),
                                     id_print(one.id, id));
}

AWAITS void invitations_delete(struct request *r)
{
    struct provision_refusal refusal;
    int64_t account_id = 0;
    if (!accounts_of_path(r, &account_id))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_invitation_delete(r->arena, account_id, r->key2, &r->actor, &refusal),
                            &refusal))
        reply_empty(r, 204);
}

/* ------------------------------------------------------------------ of a domain */

AWAITS void invitations_create_many(struct request *r)
{
    static const char *const states[] = {"active", "receive-only", "send-only", "continuity", NULL};
    struct json_fields f;
    struct provision_domain domain;
    struct provision_page page = {0};
    struct provision_invitation *list = NULL;
    struct provision_refusal refusal;
    unsigned count = 0;
    if (!json_begin(r, &f))
        return;
    int64_t expires_ms = read_expiry(&f);
    struct slice state = json_choice(&f, "state", states), cursor = json_text(&f, "cursor", false, ID_TEXT_SIZE);
    unsigned limit = (unsigned)json_number(&f, "limit", 1, REQUEST_LIMIT_MAX, REQUEST_LIMIT_DEFAULT);
    if (cursor.p && !id_parse(cursor, &page.after))
        json_reject(&f, "cursor", "is none of ours");
    if (!json_end(&f) || !domains_of_path(r, &domain))
        return;
    page.limit = limit + 1;
    if (provision_invitation_wanted(r->arena, domain.id, state, &page, &list, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    bool more = count > limit;
    count = more ? limit : count;
    for (unsigned i = 0; i < count; i++)
        list[i].expires_ms = expires_ms;
    r->actor.status = 200;
    if (count &&
        reply_failed_write(r, provision_invitation_create(r->arena, list, count, &r->actor, &refusal), &refusal))
        return;
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count; i++) {
        struct json_object *object = json_object_new_object();
        json_put_id(object, "id", list[i].id);
        json_put_id(object, "account", list[i].account_id);
        json_put_text(object, "address", list[i].address);
        json_put_time(object, "expires_at", list[i].expires_ms);
        put_secret(r, object, &list[i]);
        json_object_array_add(items, object);
    }
    reply_list(r, items, more ? list[count - 1].account_id : 0);
}

/* ------------------------------------------------------------------ using one */

AWAITS enum invitations_used invitations_use_up(struct request *r, struct slice password,
                                                struct provision_refusal *refusal)
{
    struct slice address;

    if (!rate_take(RATE_CLIENT, r->client ? r->client : "", ADDRESS_USES) || !rate_take(RATE_ALL, "", ALL_USES))
        return INVITATIONS_TOO_MANY;
    switch (provision_invitation_find(r->arena, r->key, &address)) {
    case DB_FOUND: break;
    case DB_NONE: return INVITATIONS_GONE;
    case DB_FAILED: return INVITATIONS_AWAY;
    }
    if (password.n < INVITATIONS_PASSWORD_MIN || password.n > CREDENTIAL_PASSWORD_MAX)
        return INVITATIONS_PASSWORD;
    for (size_t i = 0; i < password.n; i++)
        if ((unsigned char)password.p[i] < 0x20 || password.p[i] == 0x7f)
            return INVITATIONS_PASSWORD;
    r->actor.status = 204;
    switch (provision_invitation_use(r->arena, r->key, password, &r->actor, refusal)) {
    case DB_DONE: return INVITATIONS_DONE;
    case DB_REFUSED: return refusal->kind == PROVISION_INVALID ? INVITATIONS_PASSWORD : INVITATIONS_GONE;
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN: break;
    }
    return INVITATIONS_AWAY;
}

AWAITS void invitations_use(struct request *r)
{
    struct json_fields f;
    struct provision_refusal refusal;
    if (!json_begin(r, &f))
        return;
    struct slice password = json_text(&f, "password", true, CREDENTIAL_PASSWORD_MAX);
    if (password.p && password.n < INVITATIONS_PASSWORD_MIN)
        json_reject(&f, "password", "must have at least %d bytes", INVITATIONS_PASSWORD_MIN);
    if (!json_end(&f))
        return;
    switch (invitations_use_up(r, password, &refusal)) {
    case INVITATIONS_DONE: reply_empty(r, 204); return;
    case INVITATIONS_GONE: reply_not_found(r); return;
    case INVITATIONS_PASSWORD: reply_problem(r, 422, "password", "this password cannot be stored"); return;
    case INVITATIONS_TOO_MANY:
        reply_problem(r, 429, NULL, "too many attempts");
        r->reply.retry_after_s = 60;
        return;
    case INVITATIONS_AWAY: reply_away(r); return;
    }
}
