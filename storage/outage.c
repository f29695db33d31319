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
#include "storage/db.h"

#define PLANNED_AGE_MS 500 /* it depends on the clock, too */

/* failing_at: when it was to be found, of what is planned when it was to begin. */
static const struct db_statement insert_outage = {
    "outage_insert",
    "with made as ("
    " insert into outage (cell, id, domain_id, customer_id, domain, started_at, reason, detection, failing_at)"
    " select $1::smallint, $2::bigint, d.id, d.customer_id, d.name, $4::timestamptz, $5::text, $6::text,"
    "        case when $6::text in ('maintenance', 'drill')"
    "          then (select min(a.starts_at) from absence a where a.cell = d.cell and a.domain_id = d.id"
    "                   and a.kind = $6::text and a.outage_id is null and a.account_id is null"
    "                   and a.starts_at <= now() and a.ends_at > now())"
    "          else (select h.failing_since from domain_health h where h.cell = d.cell and h.domain_id = d.id) end"
    "   from domain d where d.id = $3::bigint and domain_forced(d.cell, d.id) is distinct from 'up'"
    " on conflict (cell, domain_id) where ended_at is null do nothing returning *),"
    " made_by as (update absence a set outage_id = made.id from made where made.detection in ('maintenance', 'drill')"
    "   and a.cell = made.cell and a.domain_id = made.domain_id and a.kind = made.detection and a.outage_id is null"
    "   and a.account_id is null"
    "   and a.starts_at <= now() and a.ends_at > now())"
    " select exists (select from made),"
    "        (select health_tell($7::bigint, made.cell, made.domain_id, made.customer_id, made.domain, 'outage.opened',"
    "           made.id, made.reason, jsonb_build_object('outage', id_text(made.id), 'reason', made.reason,"
    "           'detection', made.detection, 'started_at', time_text(made.started_at))) from made)"};
/* Another statement, which sees what another worker opened while the first waited for it. */
static const struct db_statement is_open = {
    "outage_is_open",
    "select exists (select from outage o where o.cell = d.cell and o.domain_id = d.id and o.ended_at is null), d.name"
    "  from domain d where d.id = $1::bigint"};
static const struct db_statement end_outage = {
    "outage_end", "select outage_end($1::bigint, $2::smallint, $3::bigint, $4::text, $5::timestamptz, $6::bigint)"};
static const struct db_statement planned = {
    "outage_planned", "select exists (select from outage where cell = $1::smallint and domain_id = $2::bigint"
                      "   and ended_at is null and detection in ('forced', 'maintenance', 'drill'))"
                      "    or coalesce(domain_forced($1::smallint, $2::bigint) = 'down', false)"};
static const struct db_statement note_back = {
    "outage_note_back",
    "update outage set back_at = now() where cell = $1::smallint and id = $2::bigint and ended_at is null"};
static const struct db_statement note_shown = {
    "outage_note_shown", "update outage set shown_at = now() where cell = $1::smallint and domain_id = $2::bigint"
                         "   and ended_at is null and shown_at is null"};
static const struct db_statement list_open = {
    "outage_list_open", "select o.cell, o.id, o.domain_id, d.name, o.reason, o.started_at, o.probe_wanted_at,"
                        "       o.pace = 'fast', o.newest_first, domain_forced(o.cell, o.domain_id)"
                        "  from outage o join domain d on d.id = o.domain_id"
                        " where o.cell = any($1::smallint[]) and o.ended_at is null order by o.id"};

enum db_write outage_open(struct arena *arena, int64_t domain_id, struct slice reason, const char *detection,
                          struct outage_opened *out)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &insert_outage);
    unsigned cell = id_cell(domain_id);
    enum db_write written;

    *out = (struct outage_opened){0};
    params_int16(p, (int16_t)cell);
    params_int64(p, id_make(cell));
    params_int64(p, domain_id);
    params_time(p, clock_now_ms());
    params_text(p, reason);
    params_text(p, slice_str(detection));
    params_int64(p, id_make(cell));
    params_int64(db_unit_add(unit, &is_open), domain_id);
    written = db_unit_run(unit);
    cache_outdate(); /* the next RCPT knows */
    if (written == DB_DONE && rows_count(unit->steps[1].rows))
        *out = (struct outage_opened){row_bool(unit->steps[0].rows, 0, 0), row_bool(unit->steps[1].rows, 0, 0),
                                      row_text(unit->steps[1].rows, 0, 1)};
    return written;
}

/* outage_id 0: whichever of the domain is open. */
static void end(struct db_unit *unit, int64_t outage_id, int64_t domain_id, const char *why, int64_t ended_ms)
{
    unsigned cell = id_cell(domain_id);
    struct params *p = db_unit_add(unit, &end_outage);

    params_int64(p, id_make(cell));
    params_int16(p, (int16_t)cell);
    params_int64(p, domain_id);
    params_text(p, slice_str(why));
    params_time(p, ended_ms);
    params_int64(p, outage_id);
}

void outage_end(struct db_unit *unit, int64_t domain_id, const char *why, int64_t ended_ms)
{
    end(unit, 0, domain_id, why, ended_ms);
}

enum db_write outage_close(int64_t outage_id, int64_t domain_id, const char *why)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    end(unit, outage_id, domain_id, why, clock_now_ms());
    written = db_unit_run(unit);
    cache_outdate(); /* the next RCPT knows */
    arena_free(&arena);
    return written;
}

enum db_status outage_is_planned(int64_t domain_id, bool *out)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(domain_id));
    params_int64(&params, domain_id);
    status = cache_read(arena, &planned, &params, PLANNED_AGE_MS, &rows);
    if (status == DB_FOUND)
        *out = row_bool(rows, 0, 0);
    arena_free(&arena);
    return status;
}

/* id: an outage's or a domain's, which are of one cell. */
static AWAITS enum db_write note(const struct db_statement *statement, int64_t id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, statement);
    enum db_write written;

    params_int16(p, (int16_t)id_cell(id));
    params_int64(p, id);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

enum db_write outage_note_back(int64_t outage_id)
{
    return note(&note_back, outage_id);
}

enum db_write outage_note_shown(int64_t domain_id)
{
    return note(&note_shown, domain_id);
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
            .forced = row_text(rows, i, 9),
        };
    return DB_FOUND;
}
