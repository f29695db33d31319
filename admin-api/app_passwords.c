/*
 * /v1/accounts/{account}/app-passwords: further passwords of an account, one for each program or device.
 *
 * The secret is ours and is in the answer to POST, once.  If that answer is lost, the label is taken (409 with
 * existing_id): delete it and make another.  Nothing about one can be changed.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "admin-api/scopes.h"
#include "core/clock.h"
#include "core/id.h"
#include "storage/app_password.h"
#include "storage/name.h"
#include "storage/provision_app_password.h"

#define LABEL_MAX_BYTES 200
#define CIDR_MAX_BYTES 64

static struct json_object *as_json(const void *item)
{
    const struct provision_app_password *password = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", password->id);
    json_put_id(object, "account", password->account_id);
    json_put_text(object, "label", password->label);
    json_object_object_add(object, "scopes", scopes_json(password->scopes, password->scope_count));
    json_object_object_add(object, "networks", scopes_json(password->networks, password->network_count));
    json_put_time(object, "expires_at", password->expires_ms);
    json_put_time(object, "created_at", password->created_ms);
    json_put_time(object, "last_used_at", password->last_used_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_app_password),
                                         offsetof(struct provision_app_password, id), as_json};

/* The one of the path.  False, and answered. */
static AWAITS bool get(struct request *r, struct provision_app_password *out)
{
    int64_t account_id = 0;
    if (!accounts_of_path(r, &account_id))
        return false;
    return reply_found(r, provision_app_password_get(r->arena, account_id, r->key2, out));
}

AWAITS void app_passwords_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct provision_app_password *passwords = NULL;
    unsigned count = 0;
    int64_t account_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page) || !accounts_of_path(r, &account_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_app_password_list(r->arena, account_id, &page, &passwords, &count);
    reply_page(r, status, &page, passwords, count, &shape);
}

AWAITS void app_passwords_show(struct request *r)
{
    struct provision_app_password password;
    if (get(r, &password))
        reply_json(r, 200, as_json(&password));
}

static void read_networks(struct json_fields *f, struct provision_app_password *out)
{
    out->networks = json_texts(f, "networks", PROVISION_APP_PASSWORD_NETWORKS_MAX, CIDR_MAX_BYTES, &out->network_count);
    for (unsigned i = 0; i < out->network_count && !f->failed; i++)
        if (!name_cidr(f->r->arena, out->networks[i], &out->networks[i]))
            json_reject(f, arena_printf(f->r->arena, "networks[%u]", i),
                        "must be an address block such as 192.0.2.0/24 or 2001:db8::/32, host bits zero");
}

/* The one answer that has the secret; wiped with the request. */
static AWAITS void reply_with_secret(struct request *r, const struct provision_app_password *made, const char *secret)
{
    struct provision_app_password stored;
    char account[ID_TEXT_SIZE], id[ID_TEXT_SIZE];
    switch (provision_app_password_get(r->arena, made->account_id, slice_str(id_print(made->id, id)), &stored)) {
    case DB_FOUND: break;
    case DB_NONE: reply_not_found(r); return;
    case DB_FAILED: reply_away(r); return;
    }
    struct json_object *object = as_json(&stored);
    json_put_text(object, "secret", slice_str(secret));
    reply_json(r, 201, object);
    r->reply.location =
        arena_printf(r->arena, "/v1/accounts/%s/app-passwords/%s", id_print(made->account_id, account), id);
}

/* The id of the one that has the label; 0: it could not be found out. */
static AWAITS int64_t holder(struct request *r, int64_t account_id, struct slice label)
{
    const struct provision_page all = {0, PROVISION_APP_PASSWORDS_MAX};
    struct provision_app_password *passwords = NULL;
    unsigned count = 0;
    if (provision_app_password_list(r->arena, account_id, &all, &passwords, &count) != DB_FOUND)
        return 0;
    for (unsigned i = 0; i < count; i++)
        if (slice_equal(passwords[i].label, label))
            return passwords[i].id;
    return 0;
}

AWAITS void app_passwords_create(struct request *r)
{
    struct json_fields f;
    struct provision_app_password given = {0};
    struct provision_refusal refusal;
    char secret[APP_PASSWORD_TEXT_SIZE];
    unsigned char digest[SECRET_SHA256_SIZE];
    if (!json_begin(r, &f))
        return;
    given.label = json_text(&f, "label", true, LABEL_MAX_BYTES);
    given.scopes = scopes_read(&f, &given.scope_count);
    read_networks(&f, &given);
    given.expires_ms = json_time(&f, "expires_at", INT64_MIN);
    if (given.expires_ms != INT64_MIN && given.expires_ms <= clock_now_ms())
        json_reject(&f, "expires_at", "must be later than now");
    if (!json_end(&f) || !accounts_of_path(r, &given.account_id))
        return;
    app_password_make(secret, digest);
    r->actor.status = 201;
    enum db_write result = provision_app_password_create(r->arena, &given, digest, &r->actor, &given.id, &refusal);
    if (result == DB_REFUSED && refusal.kind == PROVISION_TAKEN)
        refusal.existing_id = holder(r, given.account_id, given.label);
    if (!reply_failed_write(r, result, &refusal))
        reply_with_secret(r, &given, secret);
    secret_wipe(secret, sizeof secret);
}

AWAITS void app_passwords_delete(struct request *r)
{
    struct provision_app_password password;
    struct provision_refusal refusal;
    if (!get(r, &password))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_app_password_delete(r->arena, password.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
