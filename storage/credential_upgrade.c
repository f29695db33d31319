/*
 * credential_upgrade: yescrypt and SCRAM keys instead of what was imported.
 *
 * The one moment when a password can be hashed anew is a login that has just proved it.  The update names the hash
 * that was read: of logins that race, on whatever nodes, the first changes the row and the others find nothing to
 * change; and a password that an administrator set in the meantime is not overwritten.
 *
 * So are keys for SCRAM-SHA-1 made, when they are wanted only now.
 *
 * Relaxed (synchronous_commit off): a login does not wait for a flush, and an upgrade that a crash takes back is made
 * again.
 */
#include "storage/credential_upgrade.h"

#define LOG_MODULE "credential"
#include "core/log.h"
#include "storage/credential.h"
#include "storage/credential_scheme.h"
#include "storage/db.h"

static const struct db_statement replace = {
    "credential_upgrade",
    "update account set password_hash = $3::text, scram_sha256 = $4::text, scram_sha1 = $5::text"
    " where id = $1::bigint and password_hash = $2::text",
};

static AWAITS void upgrade(struct arena *arena, const struct directory_account *account, struct slice password)
{
    struct credential made;

    if (!credential_make(arena, password, &made)) {
        log_error("a password cannot be hashed anew", log_slice("account", account->address));
        return;
    }
    struct db_unit *unit = db_unit_new(arena);
    unit->relaxed = true;
    struct params *params = db_unit_add(unit, &replace);
    params_int64(params, account->id);
    params_text(params, account->password_hash);
    params_text(params, made.hash);
    params_text(params, made.scram_sha256);
    params_text(params, made.scram_sha1);
    if (db_unit_run(unit) != DB_DONE) /* UNCERTAIN too: the next login sees what became of it */
        log_warn("an imported password hash stays for now", log_slice("account", account->address));
    else if (rows_affected(unit->steps[0].rows) == 1)
        log_info("password hash upgraded", log_slice("account", account->address));
}

AWAITS void credential_upgrade(const struct directory_account *account, struct slice password)
{
    bool has_keys = account->scram_sha256.p && (account->scram_sha1.p || !credential_wants_sha1());

    if (has_keys && credential_scheme_is_current(account->password_hash))
        return;
    struct arena *arena = arena_new(SIZE_MAX);
    upgrade(arena, account, password);
    arena_free(&arena);
}
