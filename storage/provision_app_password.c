/*
 * App passwords.  They are never changed, only made and deleted: what a secret may do is fixed when it is shown.
 *
 * How many an account may have is a rule over rows, so making one locks the account's row, counts, and refuses.
 */
#include "storage/provision_app_password.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/provision_read.h"

#define STRING(number) STRING_(number)
#define STRING_(number) #number

#define COLUMNS                                                                                                        \
    "id, account_id, label, array_to_string(scopes, ' '), array_to_string(networks, ' '), expires_at, created_at,"     \
    " last_used_at"

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_app_password *out = into;

    out->id = row_int64(rows, row, 0);
    out->account_id = row_int64(rows, row, 1);
    out->label = row_text(rows, row, 2);
    out->scopes = provision_words(arena, row_text(rows, row, 3), &out->scope_count);
    out->networks = provision_words(arena, row_text(rows, row, 4), &out->network_count);
    out->expires_ms = row_time(rows, row, 5);
    out->created_ms = row_time(rows, row, 6);
    out->last_used_ms = row_time(rows, row, 7);
}

static const struct provision_read_shape shape = {sizeof(struct provision_app_password), read_row};

static const struct db_statement get = {
    "provision_app_password_get",
    "select " COLUMNS " from app_password where account_id = $1::bigint and id = $2::bigint",
};

AWAITS enum db_status provision_app_password_get(struct arena *arena, int64_t account_id, struct slice key,
                                                 struct provision_app_password *out)
{
    int64_t id = 0;
    struct params params;

    if (!id_parse(key, &id))
        return DB_NONE;
    params_init(&params, arena);
    params_int64(&params, account_id);
    params_int64(&params, id);
    return provision_read_one(&params, &get, &shape, out);
}

static const struct db_statement list = {
    "provision_app_password_list",
    "select " COLUMNS
    " from app_password where account_id = $1::bigint and id > $2::bigint order by id limit $3::integer",
};

AWAITS enum db_status provision_app_password_list(struct arena *arena, int64_t account_id,
                                                  const struct provision_page *page,
                                                  struct provision_app_password **out, unsigned *count)
{
    struct params params;

    params_init(&params, arena);
    params_int64(&params, account_id);
    provision_read_page(&params, page);
    *out = provision_read_all(&params, &list, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement require_account = {
    "provision_app_password_require_account",
    "select refuse('gone') where not exists (select from account where id = $1::bigint for update)",
};
static const struct db_statement require_room = {
    "provision_app_password_require_room",
    "select refuse('app_password_many') from app_password where account_id = $1::bigint"
    " having count(*) >= " STRING(PROVISION_APP_PASSWORDS_MAX),
};
static const struct db_statement insert = {
    "provision_app_password_insert",
    "insert into app_password (id, account_id, label, secret_sha256, scopes, networks, expires_at)"
    " values ($1::bigint, $2::bigint, $3::text, $4::bytea, $5::text[], $6::text[]::cidr[], $7::timestamptz)",
};

AWAITS enum db_write provision_app_password_create(struct arena *arena, const struct provision_app_password *given,
                                                   const unsigned char digest[SECRET_SHA256_SIZE],
                                                   const struct provision_actor *actor, int64_t *id,
                                                   struct provision_refusal *refusal)
{
    *id = id_make(id_cell(given->account_id));
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require_account), given->account_id);
    params_int64(db_unit_add(unit, &require_room), given->account_id);
    struct params *params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_int64(params, given->account_id);
    params_text(params, given->label);
    params_bytes(params, slice_of((const char *)digest, SECRET_SHA256_SIZE));
    params_texts(params, given->scopes, given->scope_count);
    params_texts(params, given->networks, given->network_count);
    params_time(params, given->expires_ms);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement require = {
    "provision_app_password_require",
    "select refuse('gone') where not exists (select from app_password where id = $1::bigint for update)",
};
static const struct db_statement remove_row = {
    "provision_app_password_delete",
    "delete from app_password where id = $1::bigint",
};

AWAITS enum db_write provision_app_password_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                                   struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &remove_row, id, actor, refusal);
}
