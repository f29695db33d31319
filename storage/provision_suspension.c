/*
 * Suspensions, as administrators make and end them.
 *
 * What one is about stays as it was made; another reason or time is another suspension.  Ending leaves the row for the
 * sweep (storage/suspension_queue.c), which nobody sees any more.  Workers have the whole list in memory, so it has an
 * end; the count that checks it is not locked, and a few more do no harm.
 */
#include "storage/provision_suspension.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/provision_read.h"

#define COLUMNS "id, kind, value, reason, expires_at, created_at"
#define LIVE "ended_at is null and (expires_at is null or expires_at > now())"

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct suspension *out = into;

    (void)arena;
    *out = (struct suspension){
        .id = row_int64(rows, row, 0),
        .value = row_text(rows, row, 2),
        .reason = row_text(rows, row, 3),
        .expires_ms = row_time(rows, row, 4),
        .created_ms = row_time(rows, row, 5),
    };
    if (!suspension_kind_parse(row_text(rows, row, 1), &out->kind))
        out->kind = SUSPENSION_DESTINATION; /* the table has no other words */
}

static const struct provision_read_shape shape = {sizeof(struct suspension), read_row};

static const struct db_statement get = {"provision_suspension_get",
                                        "select " COLUMNS " from suspension where id = $1::bigint and " LIVE};
static const struct db_statement list = {"provision_suspension_list",
                                         "select " COLUMNS " from suspension where id > $1::bigint and " LIVE
                                         " order by id limit $2::integer"};

AWAITS enum db_status provision_suspension_get(struct arena *arena, int64_t id, struct suspension *out)
{
    struct params params;

    params_init(&params, arena);
    params_int64(&params, id);
    return provision_read_one(&params, &get, &shape, out);
}

AWAITS enum db_status provision_suspension_list(struct arena *arena, const struct provision_page *page,
                                                struct suspension **out, unsigned *count)
{
    *out = provision_read_list(arena, &list, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement end_expired = {
    "provision_suspension_end_expired",
    "update suspension set ended_at = now() where kind = $1::text and value = $2::text and ended_at is null"
    "   and expires_at <= now()"};
static const struct db_statement require_room = {
    "provision_suspension_require_room",
    "select refuse('suspension_many') where (select count(*) from suspension where ended_at is null) >= $1::integer"};
static const struct db_statement insert = {"provision_suspension_insert",
                                           "insert into suspension (id, kind, value, reason, expires_at)"
                                           " values ($1::bigint, $2::text, $3::text, $4::text, $5::timestamptz)"};
static const struct db_statement find = {
    "provision_suspension_find",
    "select id from suspension where kind = $1::text and value = $2::text and ended_at is null"};

static AWAITS int64_t find_existing(struct arena *arena, const struct suspension *suspension)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_text(&params, slice_str(suspension_kind_word(suspension->kind)));
    params_text(&params, suspension->value);
    return db_read(arena, &find, &params, &rows) == DB_FOUND ? row_int64(rows, 0, 0) : 0;
}

AWAITS enum db_write provision_suspension_create(struct arena *arena, struct suspension *suspension,
                                                 const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &end_expired);
    suspension->id = id_make(0);
    params_text(params, slice_str(suspension_kind_word(suspension->kind)));
    params_text(params, suspension->value);
    params_int32(db_unit_add(unit, &require_room), SUSPENSION_MAX);
    params = db_unit_add(unit, &insert);
    params_int64(params, suspension->id);
    params_text(params, slice_str(suspension_kind_word(suspension->kind)));
    params_text(params, suspension->value);
    params_text(params, suspension->reason);
    params_time(params, suspension->expires_ms);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        refusal->existing_id = find_existing(arena, suspension);
    return result;
}

static const struct db_statement require = {
    "provision_suspension_require",
    "select refuse('gone') where not exists (select from suspension where id = $1::bigint and " LIVE " for update)"};
static const struct db_statement end = {"provision_suspension_end",
                                        "update suspension set ended_at = now() where id = $1::bigint"};

AWAITS enum db_write provision_suspension_end(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                              struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &end, id, actor, refusal);
}
