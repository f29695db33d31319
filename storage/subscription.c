/*
 * subscription: see the header.
 *
 * A name that is subscribed to already is never refused.  Two additions at once may each not see the other and both
 * pass: a row too many harms nobody, as the limit only keeps a client from adding for ever.
 */
#include "storage/subscription.h"

#include "core/id.h"
#include "storage/db.h"

static const struct db_statement list_names = {
    "subscription_list",
    "select coalesce(m.id, 0), s.account_id, s.name, coalesce(m.uidvalidity, 0), coalesce(m.uidnext, 0),"
    "       coalesce(m.modseq, 0), m.special_use"
    "  from subscription s"
    "  left join mailbox m on m.cell = s.cell and m.account_id = s.account_id and m.name = s.name"
    " where s.cell = $1::smallint and s.account_id = $2::bigint"
    " order by s.name <> 'INBOX', s.name collate \"C\""};
static const struct db_statement add_limit = {
    "subscription_limit",
    "select refuse('subscriptions_max')"
    " where (select count(*) from subscription where cell = $1::smallint and account_id = $2::bigint) >= $4::integer"
    "   and not exists (select from subscription where cell = $1::smallint and account_id = $2::bigint and name = "
    "$3::text)"};
static const struct db_statement add = {
    "subscription_add", "insert into subscription (cell, account_id, name) values ($1::smallint, $2::bigint, $3::text)"
                        " on conflict do nothing"};
static const struct db_statement take_back = {
    "subscription_remove", "delete from subscription where cell = $1::smallint and account_id = $2::bigint"
                           "   and name = $3::text"};

static struct params *with_account(struct params *params, int64_t account_id)
{
    params_int16(params, (int16_t)id_cell(account_id));
    params_int64(params, account_id);
    return params;
}

enum db_status subscription_list(struct arena *arena, int64_t account_id, struct mailbox **out, unsigned *count)
{
    struct params params;
    struct rows *rows;
    enum db_status status;

    *count = 0;
    params_init(&params, arena);
    status = db_read(arena, &list_names, with_account(&params, account_id), &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = (struct mailbox){
            .id = row_int64(rows, i, 0),
            .account_id = row_int64(rows, i, 1),
            .name = row_text(rows, i, 2),
            .uidvalidity = row_int64(rows, i, 3),
            .uidnext = row_int64(rows, i, 4),
            .modseq = row_int64(rows, i, 5),
            .special_use = row_text(rows, i, 6),
        };
    return DB_FOUND;
}

enum db_write subscription_add(int64_t account_id, struct slice name, unsigned max)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *params;
    enum db_write written;

    params = with_account(db_unit_add(unit, &add_limit), account_id);
    params_text(params, name);
    params_int32(params, (int32_t)max);
    params_text(with_account(db_unit_add(unit, &add), account_id), name);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

enum db_write subscription_remove(int64_t account_id, struct slice name)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    params_text(with_account(db_unit_add(unit, &take_back), account_id), name);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}
