/*
 * /v1/accounts: who has mailboxes and may log in.
 *
 * An account is addressed by its id or its address.  Its aliases are further addresses: it receives there
 * and may send as them; a PATCH gives the whole list.  A password goes in and never comes out; "login"
 * tells whether there is one, and null in a PATCH takes it away.  A hash of another system may go in instead, and is
 * ours after the next login; "password_scheme" tells which it is now.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/credential.h"
#include "storage/credential_scheme.h"
#include "storage/name.h"
#include "storage/provision_account.h"

#define ADDRESS_MAX_BYTES 254
#define PASSWORD_MIN_BYTES 8

/* Of "$6$" and "{SSHA}": "sha512-crypt", "SSHA". */
static struct slice scheme_name(struct slice scheme)
{
    static const struct {
        struct slice prefix, name;
    } names[] = {
        {SLICE("$y$"), SLICE("yescrypt")},     {SLICE("$2a$"), SLICE("bcrypt")},
        {SLICE("$2b$"), SLICE("bcrypt")},      {SLICE("$2y$"), SLICE("bcrypt")},
        {SLICE("$6$"), SLICE("sha512-crypt")}, {SLICE("$5$"), SLICE("sha256-crypt")},
        {SLICE("$1$"), SLICE("md5-crypt")},
    };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal(scheme, names[i].prefix))
            return names[i].name;
    return scheme.n > 2 ? slice_of(scheme.p + 1, scheme.n - 2) : slice_of(NULL, 0);
}

static struct json_object *as_json(const void *item)
{
    const struct provision_account *account = item;
    struct json_object *aliases = json_object_new_array(), *object = json_object_new_object();
    for (unsigned i = 0; i < account->alias_count; i++)
        json_object_array_add(aliases, json_object_new_string_len(account->aliases[i].p, (int)account->aliases[i].n));
    json_put_id(object, "id", account->id);
    json_put_text(object, "address", account->address);
    json_put_id(object, "customer", account->customer_id);
    json_put_id(object, "domain", account->domain_id);
    json_put_text(object, "state", account->state);
    json_put_bool(object, "login", account->has_password);
    json_put_text(object, "password_scheme", scheme_name(account->scheme));
    json_object_object_add(object, "aliases", aliases);
    json_put_time(object, "created_at", account->created_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_account), offsetof(struct provision_account, id),
                                         as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_account *out)
{
    return reply_found(r, provision_account_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_account account;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &account))
        return;
    reply_json(r, status, as_json(&account));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/accounts/%s", text);
}

AWAITS bool accounts_resolve(struct request *r, const char *field, struct slice key, int64_t *id)
{
    struct provision_account account;
    switch (provision_account_get(r->arena, key, &account)) {
    case DB_FOUND: *id = account.id; return true;
    case DB_NONE: reply_problem(r, 422, field, "there is no such account"); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS bool accounts_of_path(struct request *r, int64_t *id)
{
    struct provision_account account;
    if (!get(r, r->key, &account))
        return false;
    *id = account.id;
    return true;
}

AWAITS void accounts_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", "domain", NULL};
    struct provision_page page;
    struct provision_account *accounts = NULL;
    unsigned count = 0;
    int64_t customer_id = 0, domain_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer"), domain = request_query(r, "domain");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    if (domain.p && !domains_resolve(r, "domain", domain, &domain_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_account_list(r->arena, customer_id, domain_id, &page, &accounts, &count);
    reply_page(r, status, &page, accounts, count, &shape);
}

static struct provision_password read_password(struct json_fields *f)
{
    struct provision_password password = {
        .plain = json_text(f, "password", false, CREDENTIAL_PASSWORD_MAX),
    };
    struct slice given = json_text(f, "password_hash", false, CREDENTIAL_HASH_MAX - 1);
    if (password.plain.p && password.plain.n < PASSWORD_MIN_BYTES)
        json_reject(f, "password", "must have at least %d bytes", PASSWORD_MIN_BYTES);
    if (!given.p)
        return password;
    const char *why = credential_admit(f->r->arena, given, &password.hash);
    if (json_given(f, "password"))
        json_reject(f, "password_hash", "may not be given beside \"password\"");
    else if (why)
        json_reject(f, "password_hash", "%s", why);
    return password;
}

/* own {NULL,0}: not known here; the database refuses an alias that is the account's address. */
static struct slice *read_aliases(struct json_fields *f, struct slice own, unsigned *count)
{
    struct slice *aliases = json_texts(f, "aliases", PROVISION_ALIASES_MAX, ADDRESS_MAX_BYTES, count);
    for (unsigned i = 0; i < *count && !f->failed; i++) {
        const char *place = arena_printf(f->r->arena, "aliases[%u]", i);
        if (!name_address(f->r->arena, aliases[i], &aliases[i]))
            json_reject(f, place, "must be an address, local@domain");
        else if (slice_equal(aliases[i], own))
            json_reject(f, place, "is the account's own address");
        for (unsigned j = 0; j < i; j++)
            if (slice_equal(aliases[j], aliases[i]))
                json_reject(f, place, "is given twice");
    }
    return aliases;
}

AWAITS void accounts_create(struct request *r)
{
    struct provision_account_given account = {0};
    struct json_fields f;
    if (!json_begin(r, &f))
        return;
    struct slice given = json_text(&f, "address", true, ADDRESS_MAX_BYTES);
    if (given.p && !name_address(r->arena, given, &account.address))
        json_reject(&f, "address", "must be an address, local@domain");
    struct slice customer = json_text(&f, "customer", true, 200);
    account.password = read_password(&f);
    account.aliases = read_aliases(&f, account.address, &account.alias_count);
    if (!json_end(&f))
        return;

    int64_t id = 0;
    struct provision_refusal refusal;
    if (!customers_resolve(r, "customer", customer, &account.customer_id))
        return;
    r->actor.status = 201;
    enum db_write result = provision_account_create(r->arena, &account, &r->actor, &id, &refusal);
    if (!reply_failed_write(r, result, &refusal))
        reply_with(r, 201, id);
}

AWAITS void accounts_show(struct request *r)
{
    struct provision_account account;
    if (get(r, r->key, &account))
        reply_json(r, 200, as_json(&account));
}

AWAITS void accounts_change(struct request *r)
{
    struct json_fields f;
    static const char *const states[] = {"active",     "suspended", "receive-only", "send-only", "closed",
                                         "continuity", NULL};
    struct provision_account_change change = {0};
    if (!json_begin(r, &f))
        return;
    change.drop_password = json_is_null(&f, "password");
    if (!change.drop_password)
        change.password = read_password(&f);
    else if (json_given(&f, "password_hash"))
        json_reject(&f, "password_hash", "may not be given beside \"password\"");
    change.state = json_choice(&f, "state", states);
    change.set_aliases = json_given(&f, "aliases");
    change.aliases = read_aliases(&f, slice_of(NULL, 0), &change.alias_count);
    if (!json_end(&f))
        return;
    struct provision_account account;
    struct provision_refusal refusal;
    if (!get(r, r->key, &account))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_account_update(r->arena, &account, &change, &r->actor, &refusal), &refusal))
        reply_with(r, 200, account.id);
}

AWAITS void accounts_delete(struct request *r)
{
    struct provision_account account;
    struct provision_refusal refusal;
    if (!get(r, r->key, &account))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_account_delete(r->arena, account.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
