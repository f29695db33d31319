/*
 * outage: one relay domain's primary is away.
 *
 * A domain's outage lives in its customer's cell, which the domain's id carries.  That at most one is open is
 * the database's business (a unique partial index), so two workers that notice at the same time open one.
 */
#include "storage/outage.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/cache.h"
#include "storage/carry.h"
#include "storage/db.h"
#include "storage/show.h"

static const struct db_statement insert_outage = {
    "outage_insert", "insert into outage (cell, id, domain_id, started_at, reason)"
                     " values ($1::smallint, $2::bigint, $3::bigint, $4::timestamptz, $5::text)"
                     " on conflict (cell, domain_id) where ended_at is null do nothing"};
static const struct db_statement end_outage = {"outage_end",
                                               "update outage set ended_at = $3::timestamptz"
                                               " where cell = $1::smallint and id = $2::bigint and ended_at is null"};
static const struct db_statement unshown = {
    "outage_unshown", "select id from queue_entry where cell = $1::smallint and domain_id = $2::bigint and not shown"
                      "   and account_id is not null and held_until is null order by id limit $3::integer"};
static const struct db_statement list_open = {
    "outage_list_open", "select o.cell, o.id, o.domain_id, d.name, o.reason, o.started_at, o.probe_wanted_at,"
                        "       o.pace = 'fast', o.newest_first"
                        "  from outage o join domain d on d.id = o.domain_id"
                        " where o.cell = any($1::smallint[]) and o.ended_at is null order by o.id"};

enum db_write outage_open(int64_t domain_id, struct slice reason, bool *opened)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &insert_outage);
    unsigned cell = id_cell(domain_id);
    enum db_write written;

    params_int16(p, (int16_t)cell);
    params_int64(p, id_make(cell));
    params_int64(p, domain_id);
    params_time(p, clock_now_ms());
    params_text(p, reason);
    written = db_unit_run(unit);
    cache_outdate(); /* the next RCPT knows */
    *opened = written == DB_DONE && rows_affected(unit->steps[0].rows) == 1;
    arena_free(&arena);
    return written;
}

enum db_write outage_close(int64_t outage_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &end_outage);
    int64_t now = clock_now_ms();
    enum db_write written;

    params_int16(p, (int16_t)id_cell(outage_id));
    params_int64(p, outage_id);
    params_time(p, now);
    carry_collect_add(unit, outage_id, now);
    written = db_unit_run(unit);
    cache_outdate(); /* the next RCPT knows */
    arena_free(&arena);
    return written;
}

enum db_write outage_show(int64_t domain_id, unsigned limit, unsigned *shown)
{
    struct arena *arena = arena_new(SIZE_MAX);
    unsigned cell = id_cell(domain_id);
    enum db_write written = DB_UNDONE;
    struct params params;
    struct rows *rows;

    *shown = 0;
    params_init(&params, arena);
    params_int16(&params, (int16_t)cell);
    params_int64(&params, domain_id);
    params_int32(&params, (int32_t)limit);
    switch (db_read(arena, &unshown, &params, &rows)) {
    case DB_FOUND: {
        unsigned count = rows_count(rows);
        int64_t *ids = arena_array(arena, count, sizeof *ids);

        for (unsigned i = 0; i < count; i++)
            ids[i] = row_int64(rows, i, 0);
        written = show_entries(cell, ids, count, shown);
        break;
    }
    case DB_NONE: written = DB_DONE; break;
    case DB_FAILED: break;
    }
    arena_free(&arena);
    return written;
}

enum db_status outage_list_open(struct arena *arena, const int16_t *cells, unsigned cell_count, struct outage **out,
                                unsigned *count)
{
    struct params params;
    struct rows *rows;
    enum db_status status;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    status = db_read(arena, &list_open, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = (struct outage){
            .cell = (unsigned)row_int64(rows, i, 0),
            .id = row_int64(rows, i, 1),
            .domain_id = row_int64(rows, i, 2),
            .domain = row_text(rows, i, 3),
            .reason = row_text(rows, i, 4),
            .started_ms = row_time(rows, i, 5),
            .ended_ms = INT64_MIN,
            .probe_wanted_ms = row_time(rows, i, 6),
            .fast = row_bool(rows, i, 7),
            .newest_first = row_bool(rows, i, 8),
        };
    return DB_FOUND;
}
