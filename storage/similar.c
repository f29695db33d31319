/*
 * similar: groups in the database.
 *
 * An entry of the queue says in which group it is; one that is held for the account that sent it and does not say so
 * yet is found by an index that has nothing else.  The group is looked for among those of the account, by the number
 * of bits in which the hashes differ; there are few, and they are all looked at.  Two workers that put an account's
 * messages take turns, by a lock of the account, as else both would make the group of what comes first.
 *
 * A group is in the account's cell, a message in its customer's; nothing but the number connects them.
 */
#include "storage/similar.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"

static const struct db_statement ungrouped = {
    "similar_ungrouped",
    "select distinct q.message_id, m.account_id from (select cell, message_id from queue_entry"
    "   where cell = any($1::smallint[]) and held_by in ('breaker', 'compromised') and similar_id is null"
    "   limit $2::integer) q join message m on m.cell = q.cell and m.id = q.message_id where m.account_id is not null"};
static const struct db_statement lock = {"similar_lock",
                                         "select pg_advisory_xact_lock(hashint8($1::bigint), 1397312332)"};
#define DISTANCE "bit_count((g.hash # $4::bigint)::bit(64))"
static const struct db_statement make = {
    "similar_make",
    "insert into similar_group (cell, id, account_id, hash, subject, message_id)"
    " select $1::smallint, $2::bigint, $3::bigint, $4::bigint, $5::text, $6::bigint"
    "  where not exists (select from similar_group g where g.cell = $1::smallint and g.account_id = $3::bigint"
    "                       and " DISTANCE " <= $7::integer)"
    "    and (select count(*) from similar_group g where g.cell = $1::smallint and g.account_id = $3::bigint)"
    "        < $8::integer"};
static const struct db_statement join = {
    "similar_join", "update queue_entry set similar_id = (select g.id from similar_group g where g.cell = $1::smallint"
                    "          and g.account_id = $2::bigint order by " DISTANCE ", g.id limit 1)"
                    " where cell = $3::smallint and message_id = $5::bigint and held_by in ('breaker', 'compromised')"
                    "   and similar_id is null"};
static const struct db_statement clean = {
    "similar_clean", "delete from similar_group g where g.cell = any($1::smallint[]) and g.id < $2::bigint"
                     "   and not exists (select from queue_entry q where q.similar_id = g.id)"};
static const struct db_statement list = {
    "similar_list",
    "select g.id, g.message_id, g.subject, count(distinct q.message_id), count(*), min(m.received_at),"
    " max(m.received_at)"
    "  from similar_group g join queue_entry q on q.similar_id = g.id and q.held_until is not null"
    "  join message m on m.cell = q.cell and m.id = q.message_id"
    " where g.cell = $1::smallint and g.account_id = $2::bigint and g.id > $3::bigint"
    " group by g.cell, g.id order by g.id limit $4::integer"};

AWAITS enum db_status similar_ungrouped(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                                        struct similar_message **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int32(&params, (int32_t)limit);
    if (db_read(arena, &ungrouped, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        (*out)[*count] = (struct similar_message){row_int64(rows, *count, 0), row_int64(rows, *count, 1)};
    return *count ? DB_FOUND : DB_NONE;
}

AWAITS enum db_write similar_put(const struct similar_message *message, uint64_t hash, struct slice subject)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    unsigned cell = id_cell(message->account_id);
    struct params *params;
    enum db_write written;

    params_int64(db_unit_add(unit, &lock), message->account_id);
    params = db_unit_add(unit, &make);
    params_int16(params, (int16_t)cell);
    params_int64(params, id_make(cell));
    params_int64(params, message->account_id);
    params_int64(params, (int64_t)hash);
    params_text(params, subject);
    params_int64(params, message->message_id);
    params_int32(params, SIMILAR_BITS);
    params_int32(params, SIMILAR_GROUPS_MAX);
    params = db_unit_add(unit, &join);
    params_int16(params, (int16_t)cell);
    params_int64(params, message->account_id);
    params_int16(params, (int16_t)id_cell(message->message_id));
    params_int64(params, (int64_t)hash);
    params_int64(params, message->message_id);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

/* What was made a moment ago may be joined by what was found before. */
AWAITS enum db_write similar_clean(const int16_t *cells, unsigned cell_count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &clean);
    enum db_write written;

    params_int16s(params, cells, cell_count);
    params_int64(params, id_at(clock_now_ms() - 60 * 60 * 1000));
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

AWAITS enum db_status similar_list(struct arena *arena, int64_t account_id, const struct provision_page *page,
                                   struct similar_group **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;

    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(account_id));
    params_int64(&params, account_id);
    params_int64(&params, page->after);
    params_int32(&params, (int32_t)page->limit);
    if (db_read(arena, &list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        (*out)[*count] = (struct similar_group){
            .id = row_int64(rows, *count, 0),
            .message_id = row_int64(rows, *count, 1),
            .subject = row_text(rows, *count, 2),
            .messages = row_int64(rows, *count, 3),
            .recipients = row_int64(rows, *count, 4),
            .first_ms = row_time(rows, *count, 5),
            .last_ms = row_time(rows, *count, 6),
        };
    return DB_FOUND;
}
