/*
 * health: how domains' primaries are.
 *
 * Workers of all nodes meet the same primary, so a row is changed by who has read what it is (changes counts), and who
 * was not first reads again and goes on from there.  There is no lock: what one has met is worth little a moment later.
 *
 * The event and what webhooks are told are part of the same statement: they come of the row that was changed.
 */
#include "storage/health.h"

#include "core/id.h"
#include "storage/db.h"

static const struct db_statement read_row = {
    "health_read",
    "select changes, state, failures, weak, successes from domain_health"
    " where cell = $1::smallint and domain_id = $2::bigint",
};

AWAITS enum db_status health_read(struct arena *arena, int64_t domain_id, struct health_row *out)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    *out = (struct health_row){.domain_id = domain_id, .state = SLICE("up")};
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(domain_id));
    params_int64(&params, domain_id);
    status = db_read(arena, &read_row, &params, &rows);
    if (status == DB_FOUND)
        *out = (struct health_row){
            .domain_id = domain_id,
            .changes = row_int64(rows, 0, 0),
            .state = row_text(rows, 0, 1),
            .failures = (unsigned)row_int64(rows, 0, 2),
            .weak = (unsigned)row_int64(rows, 0, 3),
            .successes = (unsigned)row_int64(rows, 0, 4),
        };
    return status == DB_FAILED ? DB_FAILED : DB_FOUND;
}

static const struct db_statement write_row = {
    "health_write",
    "with changed as ("
    " insert into domain_health as h (cell, domain_id, state, changes, failures, weak, successes, why, failing_since,"
    "                                 probed_at, probe_outcome)"
    " select $1::smallint, d.id, $4::text, 1, $5::integer, $6::integer, $7::integer, $8::text,"
    "        case when $5::integer > 0 then now() end, case when $9::boolean then now() end,"
    "        case when $9::boolean then $8::text end from domain d where d.id = $2::bigint"
    " on conflict (cell, domain_id) do update set state = excluded.state, changes = h.changes + 1,"
    "    since = case when h.state = excluded.state then h.since else now() end,"
    "    failures = excluded.failures, weak = excluded.weak, successes = excluded.successes,"
    "    why = case when h.state = excluded.state and excluded.state = 'up' then h.why else excluded.why end,"
    "    failing_since = case when excluded.failures = 0 then null"
    "                         else coalesce(h.failing_since, excluded.failing_since) end,"
    "    probed_at = coalesce(excluded.probed_at, h.probed_at),"
    "    probe_outcome = coalesce(excluded.probe_outcome, h.probe_outcome)"
    "  where h.changes = $3::bigint returning state, since)"
    " select case when $4::text <> $10::text then health_tell($11::bigint, $1::smallint, d.id, d.customer_id, d.name,"
    "   'health.changed', null, $10::text || ' -> ' || $4::text || coalesce(': ' || $8::text, ''), jsonb_build_object("
    "   'state', $4::text, 'was', $10::text, 'why', $8::text)) else 0 end"
    "  from changed, domain d where d.id = $2::bigint",
};

AWAITS enum db_write health_write(const struct health_change *change, bool *done)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &write_row);
    unsigned cell = id_cell(change->was.domain_id);
    enum db_write written;

    params_int16(p, (int16_t)cell);
    params_int64(p, change->was.domain_id);
    params_int64(p, change->was.changes);
    params_text(p, change->state);
    params_int32(p, (int32_t)change->failures);
    params_int32(p, (int32_t)change->weak);
    params_int32(p, (int32_t)change->successes);
    params_text(p, change->why);
    params_bool(p, change->probed);
    params_text(p, change->was.state);
    params_int64(p, id_make(cell));
    written = db_unit_run(unit);
    *done = written == DB_DONE && rows_count(unit->steps[0].rows) > 0;
    arena_free(&arena);
    return written;
}

/* ------------------------------------------------------------------ what is to be done */

#define NO_OUTAGE                                                                                                      \
    "not exists (select from outage o where o.cell = d.cell and o.domain_id = d.id and o.ended_at is null)"
#define IS_RELAYED "(d.route_id is not null or exists (select from next_hop n where n.domain_id = d.id))"

/* How much of a maintenance window there is to be told. */
#define WINDOW_IS " case when ends_at <= now() then 2 when starts_at <= now() then 1 else 0 end"

static const struct db_statement tasks = {
    "health_tasks",
    "(select d.id, d.name, 0, coalesce(h.force_reason, 'forced down'), 'forced'"
    "   from domain_health h join domain d on d.id = h.domain_id"
    "  where h.cell = any($1::smallint[]) and h.forced = 'down' and (h.force_until is null or h.force_until > now())"
    "    and " NO_OUTAGE " and " IS_RELAYED " limit $2::integer)"
    " union all (select d.id, d.name, 0, a.reason, a.kind from absence a join domain d on d.id = a.domain_id"
    "  where a.cell = any($1::smallint[]) and a.starts_at <= now() and a.ends_at > now()"
    "    and a.account_id is null"
    "    and domain_forced(d.cell, d.id) = 'down' and " NO_OUTAGE " and " IS_RELAYED " limit $2::integer)"
    " union all (select d.id, d.name, case when h.state = 'down' then 0 else 1 end,"
    "                   coalesce(h.why, 'probes failed'),"
    "                   case when h.probed_at >= h.since then 'probe' else 'delivery' end"
    "   from domain_health h join domain d on d.id = h.domain_id"
    "  where h.cell = any($1::smallint[]) and h.state in ('down', 'recovering')"
    "    and (h.state = 'down' or h.since < now() - interval '3 seconds')"
    "    and domain_forced(d.cell, d.id) is null and " NO_OUTAGE " limit $2::integer)"
    " union all (select d.id, d.name, 2, null, null"
    "   from continuity_policy p join domain d on d.id = p.domain_id"
    "   left join domain_health h on h.cell = d.cell and h.domain_id = d.id"
    "  where d.cell = any($1::smallint[]) and p.check_interval > 0"
    "    and (h.probed_at is null or h.probed_at < now() - p.check_interval * interval '1 second')"
    "    and domain_forced(d.cell, d.id) is null and " NO_OUTAGE " and " IS_RELAYED " limit $2::integer)"
    " union all (select d.id, d.name, 3, null, null from domain_health h join domain d on d.id = h.domain_id"
    "  where h.cell = any($1::smallint[]) and h.forced is not null and h.force_until <= now() limit $2::integer)"
    " union all (select d.id, d.name, 4, null, null from absence a join domain d on d.id = a.domain_id"
    "  where a.cell = any($1::smallint[]) and a.kind = 'maintenance' and a.told < 2 and a.told <" WINDOW_IS
    "  limit $2::integer)",
};
/* One of them: there is mostly one. */
static const struct db_statement tell_window = {
    "health_tell_window",
    "with now_is as (update absence set told =" WINDOW_IS "  where (cell, id) in (select a.cell, a.id from absence a"
    "     where a.cell = $1::smallint and a.domain_id = $2::bigint and a.kind = 'maintenance' and a.told < 2"
    "       and a.told <" WINDOW_IS "  order by a.starts_at limit 1 for update) returning *)"
    " select health_tell($3::bigint, d.cell, d.id, d.customer_id, d.name,"
    "   case n.told when 2 then 'maintenance.ended' else 'maintenance.started' end, n.outage_id, n.reason,"
    "   jsonb_build_object('window', id_text(n.id), 'reason', n.reason, 'starts_at', time_text(n.starts_at),"
    "     'ends_at', time_text(n.ends_at)))"
    "  from now_is n, domain d where d.id = n.domain_id",
};
static const struct db_statement unforce = {
    "health_unforce",
    "with over as (update domain_health set forced = null, force_reason = null, force_until = null"
    "   where cell = $1::smallint and domain_id = $2::bigint and forced is not null and force_until <= now()"
    "  returning domain_id)"
    " select health_tell($3::bigint, d.cell, d.id, d.customer_id, d.name, 'health.forced', null,"
    "   'not forced any more: its time is over',"
    "   jsonb_build_object('force', null, 'reason', 'its time is over', 'until', null))"
    "  from over, domain d where d.id = over.domain_id",
};

static AWAITS enum db_write tell(const struct db_statement *statement, int64_t domain_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, statement);
    unsigned cell = id_cell(domain_id);
    enum db_write written;

    params_int16(p, (int16_t)cell);
    params_int64(p, domain_id);
    params_int64(p, id_make(cell));
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

AWAITS enum db_write health_unforce(int64_t domain_id)
{
    return tell(&unforce, domain_id);
}

AWAITS enum db_write health_tell_window(int64_t domain_id)
{
    return tell(&tell_window, domain_id);
}

AWAITS enum db_status health_tasks(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                                   struct health_task **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int32(&params, (int32_t)limit);
    status = db_read(arena, &tasks, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = (struct health_task){
            .domain_id = row_int64(rows, i, 0),
            .domain = row_text(rows, i, 1),
            .kind = row_int64(rows, i, 2) == 0   ? HEALTH_TASK_OPEN
                    : row_int64(rows, i, 2) == 1 ? HEALTH_TASK_SETTLE
                    : row_int64(rows, i, 2) == 2 ? HEALTH_TASK_PROBE
                    : row_int64(rows, i, 2) == 3 ? HEALTH_TASK_UNFORCE
                                                 : HEALTH_TASK_WINDOW,
            .reason = row_text(rows, i, 3),
            .detection = row_text(rows, i, 4),
        };
    return DB_FOUND;
}
