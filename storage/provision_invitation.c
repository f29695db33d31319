/*
 * Invitations.
 *
 * The secret is 256 random bits in hexadecimal, shown once; its digest is what is stored, and looked up by, so that a
 * comparison's time tells a guesser nothing that he could use.  Using one locks its row, sets the password and deletes
 * the row, in one transaction: of two who use it at once one finds it gone.  A password that was kept from the primary
 * is replaced like any other.
 *
 * Those that are over are deleted whenever one is made.
 */
#include "storage/provision_invitation.h"

#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "storage/credential.h"
#include "storage/db.h"

#define BYTES 32

static const struct db_statement require_accounts = {
    "provision_invitation_require_accounts",
    "select refuse('gone') from (select count(*) as n from (select id from account where id = any($1::bigint[])"
    "                                                        order by id for update) a) c"
    " where c.n < (select count(*) from unnest($1::bigint[]))",
};
static const struct db_statement remove_old = {
    "provision_invitation_remove_old",
    "delete from invitation where account_id = any($1::bigint[]) or expires_at <= now()",
};
static const struct db_statement insert = {
    "provision_invitation_insert",
    "insert into invitation (id, account_id, token_sha256, expires_at)"
    " select * from unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::timestamptz[])",
};

static void make_secret(struct arena *arena, struct provision_invitation *one, unsigned char digest[SECRET_SHA256_SIZE])
{
    unsigned char random[BYTES];

    secret_random(random, sizeof random);
    one->text = secret_space(arena, PROVISION_INVITATION_TEXT_SIZE);
    for (unsigned i = 0; i < BYTES; i++)
        snprintf(one->text + (size_t)2 * i, 3, "%02x", random[i]);
    secret_wipe(random, sizeof random);
    secret_sha256(slice_str(one->text), digest);
}

AWAITS enum db_write provision_invitation_create(struct arena *arena, struct provision_invitation *list, unsigned count,
                                                 const struct provision_actor *actor, struct provision_refusal *refusal)
{
    int64_t *ids = arena_array(arena, count, sizeof *ids), *accounts = arena_array(arena, count, sizeof *accounts);
    int64_t *times = arena_array(arena, count, sizeof *times);
    struct slice *digests = arena_array(arena, count, sizeof *digests);
    struct db_unit *unit = db_unit_new(arena);

    for (unsigned i = 0; i < count; i++) {
        unsigned char *digest = arena_alloc(arena, SECRET_SHA256_SIZE);
        make_secret(arena, &list[i], digest);
        ids[i] = list[i].id = id_make(id_cell(list[i].account_id));
        accounts[i] = list[i].account_id;
        times[i] = list[i].expires_ms;
        digests[i] = slice_of((const char *)digest, SECRET_SHA256_SIZE);
    }
    params_int64s(db_unit_add(unit, &require_accounts), accounts, count);
    params_int64s(db_unit_add(unit, &remove_old), accounts, count);
    struct params *params = db_unit_add(unit, &insert);
    params_int64s(params, ids, count);
    params_int64s(params, accounts, count);
    params_bytess(params, digests, count);
    params_times(params, times, count);
    return provision_run(unit, actor, refusal);
}

/* ------------------------------------------------------------------ reading */

static const struct db_statement wanted = {
    "provision_invitation_wanted",
    "select a.id, a.address from account a where a.domain_id = $1::bigint and a.id > $2::bigint"
    "   and a.password_hash is null and a.state = coalesce($3::text, a.state)"
    "   and a.state in ('active', 'receive-only', 'send-only', 'continuity') order by a.id limit $4::integer",
};
static const struct db_statement list_open = {
    "provision_invitation_list",
    "select i.id, i.account_id, a.address, i.created_at, i.expires_at from invitation i"
    "  join account a on a.id = i.account_id"
    " where i.account_id = $1::bigint and i.id > $2::bigint and i.expires_at > now() order by i.id limit $3::integer",
};
static const struct db_statement find = {
    "provision_invitation_find",
    "select a.address from invitation i join account a on a.id = i.account_id join customer c on c.id = a.customer_id"
    " where i.token_sha256 = $1::bytea and i.expires_at > now() and c.state = 'active'"
    "   and a.state in ('active', 'receive-only', 'send-only', 'continuity')",
};

AWAITS enum db_status provision_invitation_wanted(struct arena *arena, int64_t domain_id, struct slice state,
                                                  const struct provision_page *page, struct provision_invitation **out,
                                                  unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;

    *count = 0;
    params_init(&params, arena);
    params_int64(&params, domain_id);
    params_int64(&params, page->after);
    params_text(&params, state);
    params_int32(&params, (int32_t)page->limit);
    if (db_read(arena, &wanted, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows), sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        (*out)[*count] = (struct provision_invitation){.account_id = row_int64(rows, *count, 0),
                                                       .address = row_text(rows, *count, 1)};
    return DB_FOUND;
}

AWAITS enum db_status provision_invitation_list(struct arena *arena, int64_t account_id,
                                                const struct provision_page *page, struct provision_invitation **out,
                                                unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;

    *count = 0;
    params_init(&params, arena);
    params_int64(&params, account_id);
    params_int64(&params, page->after);
    params_int32(&params, (int32_t)page->limit);
    if (db_read(arena, &list_open, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows), sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        (*out)[*count] = (struct provision_invitation){.id = row_int64(rows, *count, 0),
                                                       .account_id = row_int64(rows, *count, 1),
                                                       .address = row_text(rows, *count, 2),
                                                       .created_ms = row_time(rows, *count, 3),
                                                       .expires_ms = row_time(rows, *count, 4)};
    return DB_FOUND;
}

static void add_digest(struct params *params, struct slice text)
{
    unsigned char *digest = arena_alloc(params->arena, SECRET_SHA256_SIZE);

    secret_sha256(text, digest);
    params_bytes(params, slice_of((const char *)digest, SECRET_SHA256_SIZE));
}

AWAITS enum db_status provision_invitation_find(struct arena *arena, struct slice text, struct slice *address)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    add_digest(&params, text);
    enum db_status status = db_read(arena, &find, &params, &rows);
    if (status == DB_FOUND)
        *address = row_text(rows, 0, 0);
    return status;
}

/* ------------------------------------------------------------------ using, revoking */

static const struct db_statement require = {
    "provision_invitation_require",
    "select refuse('gone') where not exists (select from invitation where account_id = $1::bigint and id = $2::bigint"
    "                                           for update)",
};
static const struct db_statement remove_row = {
    "provision_invitation_delete",
    "delete from invitation where account_id = $1::bigint and id = $2::bigint",
};
static const struct db_statement require_token = {
    "provision_invitation_require_token",
    "select refuse('gone') where not exists (select from invitation where token_sha256 = $1::bytea"
    "                                           and expires_at > now() for update)",
};
static const struct db_statement set_password = {
    "provision_invitation_set_password",
    "update account a set password_hash = $2::text, scram_sha256 = $3::text, scram_sha1 = $4::text,"
    "       password_primary_at = null"
    "  from invitation i where i.token_sha256 = $1::bytea and a.id = i.account_id",
};
static const struct db_statement use_up = {
    "provision_invitation_use_up",
    "delete from invitation where token_sha256 = $1::bytea",
};

AWAITS enum db_write provision_invitation_delete(struct arena *arena, int64_t account_id, struct slice key,
                                                 const struct provision_actor *actor, struct provision_refusal *refusal)
{
    static const struct db_statement *const steps[] = {&require, &remove_row};
    struct db_unit *unit = db_unit_new(arena);
    int64_t id = 0;

    if (!id_parse(key, &id)) {
        *refusal = (struct provision_refusal){.kind = PROVISION_GONE};
        return DB_REFUSED;
    }
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct params *params = db_unit_add(unit, steps[i]);
        params_int64(params, account_id);
        params_int64(params, id);
    }
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_invitation_use(struct arena *arena, struct slice text, struct slice password,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct credential made;

    if (!credential_make(arena, password, &made)) {
        *refusal = (struct provision_refusal){PROVISION_INVALID, "password", "this password cannot be stored", 0};
        return DB_REFUSED;
    }
    struct db_unit *unit = db_unit_new(arena);
    add_digest(db_unit_add(unit, &require_token), text);
    struct params *params = db_unit_add(unit, &set_password);
    add_digest(params, text);
    params_text(params, made.hash);
    params_text(params, made.scram_sha256);
    params_text(params, made.scram_sha1);
    add_digest(db_unit_add(unit, &use_up), text);
    return provision_run(unit, actor, refusal);
}
