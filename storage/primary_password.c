/*
 * primary_password: the password that last worked at an account's primary.
 *
 * Both writes name what they found, as credential_upgrade.c does: of logins that race the first changes the row, and a
 * password that an administrator or an invitation has set meanwhile, which has no mark, is not touched.
 *
 * Relaxed (synchronous_commit off): a login does not wait for a flush.
 */
#include "storage/primary_password.h"

#define LOG_MODULE "credential"
#include "core/log.h"
#include "storage/credential.h"
#include "storage/db.h"

static const struct db_statement keep = {
    "primary_password_keep",
    "update account set password_hash = $2::text, scram_sha256 = $3::text, scram_sha1 = $4::text,"
    "       password_primary_at = now()"
    " where id = $1::bigint and (password_hash is null or password_primary_at is not null)",
};
static const struct db_statement drop = {
    "primary_password_drop",
    "update account set password_hash = null, scram_sha256 = null, scram_sha1 = null, password_primary_at = null"
    " where id = $1::bigint and password_hash = $2::text and password_primary_at is not null",
};

AWAITS void primary_password_keep(const struct directory_account *account, struct slice password)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct credential made;

    if (credential_make(arena, password, &made)) {
        unit->relaxed = true;
        struct params *params = db_unit_add(unit, &keep);
        params_int64(params, account->id);
        params_text(params, made.hash);
        params_text(params, made.scram_sha256);
        params_text(params, made.scram_sha1);
        if (db_unit_run(unit) != DB_DONE)
            log_warn("a password that the primary took is not kept for now", log_slice("account", account->address));
        else if (rows_affected(unit->steps[0].rows) == 1)
            log_info("password of the primary kept", log_slice("account", account->address));
    }
    arena_free(&arena);
}

AWAITS void primary_password_drop(const struct directory_account *account)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &drop);

    unit->relaxed = true;
    params_int64(params, account->id);
    params_text(params, account->password_hash);
    if (db_unit_run(unit) != DB_DONE)
        log_warn("a password that the primary does not take any more stays for now",
                 log_slice("account", account->address));
    else if (rows_affected(unit->steps[0].rows) == 1)
        log_info("password of the primary dropped", log_slice("account", account->address));
    arena_free(&arena);
}
