/*
 * Bans, as administrators see them.  Lifting one changes its row and does not delete it: nodes read what changed, and
 * a row that is gone has not.
 */
#include "storage/provision_ban.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/provision_read.h"

#define COLUMNS "id, kind = 'pair', client, account, failures, first_at, banned_until"

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_ban *out = into;

    (void)arena;
    out->id = row_int64(rows, row, 0);
    out->of_account = row_bool(rows, row, 1);
    out->client = row_text(rows, row, 2);
    out->account = out->of_account ? row_text(rows, row, 3) : slice_of(NULL, 0);
    out->failures = row_int64(rows, row, 4);
    out->since_ms = row_time(rows, row, 5);
    out->until_ms = row_time(rows, row, 6);
}

static const struct provision_read_shape shape = {sizeof(struct provision_ban), read_row};

static const struct db_statement get = {
    "provision_ban_get",
    "select " COLUMNS " from auth_failure where id = $1::bigint and banned_until > now()",
};

AWAITS enum db_status provision_ban_get(struct arena *arena, struct slice key, struct provision_ban *out)
{
    return provision_read_by_id(arena, &get, key, &shape, out);
}

static const struct db_statement list = {
    "provision_ban_list",
    "select " COLUMNS " from auth_failure where id > $1::bigint and banned_until > now() order by id limit $2::integer",
};

AWAITS enum db_status provision_ban_list(struct arena *arena, const struct provision_page *page,
                                         struct provision_ban **out, unsigned *count)
{
    *out = provision_read_list(arena, &list, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement require = {
    "provision_ban_require",
    "select refuse('gone') where not exists"
    " (select from auth_failure where id = $1::bigint and banned_until > now() for update)",
};
static const struct db_statement lift = {
    "provision_ban_lift",
    "update auth_failure set failures = 0, banned_until = null, changed_at = now() where id = $1::bigint",
};

AWAITS enum db_write provision_ban_lift(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                        struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &lift, id, actor, refusal);
}
