/*
 * A domain's health, as administrators see and force it.
 *
 * Forcing is a part of the same row, beside what is met: that goes on being counted, and holds again when the force
 * ends.  Who forces is told of in the audit log, and to whoever watches, in the transaction that does it.
 */
#include "storage/provision_health.h"

#include "core/id.h"
#include "storage/db.h"

static const struct db_statement get = {
    "provision_health_get",
    "select coalesce(h.state, 'up'), h.why, h.since, coalesce(h.failures, 0), coalesce(h.weak, 0),"
    "       coalesce(h.successes, 0), h.failing_since, h.probed_at, h.probe_outcome,"
    "       case when h.force_until is null or h.force_until > now() then h.forced end,"
    "       case when h.force_until is null or h.force_until > now() then h.force_reason end,"
    "       case when h.force_until > now() then h.force_until end,"
    "       (select o.id from outage o where o.cell = d.cell and o.domain_id = d.id and o.ended_at is null),"
    "       a.kind, a.ends_at"
    "  from domain d left join domain_health h on h.cell = d.cell and h.domain_id = d.id"
    "  left join lateral (select kind, ends_at from absence a where a.cell = d.cell and a.domain_id = d.id"
    "                        and a.account_id is null and a.starts_at <= now() and a.ends_at > now() order by a.ends_at desc limit 1) a on true"
    " where d.id = $1::bigint",
};

AWAITS enum db_status provision_health_get(struct arena *arena, int64_t domain_id, struct provision_health *out)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int64(&params, domain_id);
    enum db_status status = db_read(arena, &get, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *out = (struct provision_health){
        .state = row_text(rows, 0, 0),
        .why = row_text(rows, 0, 1),
        .since_ms = row_time(rows, 0, 2),
        .failures = row_int64(rows, 0, 3),
        .weak = row_int64(rows, 0, 4),
        .successes = row_int64(rows, 0, 5),
        .failing_since_ms = row_time(rows, 0, 6),
        .probed_ms = row_time(rows, 0, 7),
        .probe_outcome = row_text(rows, 0, 8),
        .forced = row_text(rows, 0, 9),
        .force_reason = row_text(rows, 0, 10),
        .force_until_ms = row_time(rows, 0, 11),
        .outage_id = row_is_null(rows, 0, 12) ? 0 : row_int64(rows, 0, 12),
        .absence = row_text(rows, 0, 13),
        .absent_until_ms = row_time(rows, 0, 14),
    };
    return DB_FOUND;
}

static const struct db_statement require = {
    "provision_health_require",
    "select refuse('gone') where not exists (select from domain where id = $1::bigint for key share)",
};
static const struct db_statement force = {
    "provision_health_force",
    "insert into domain_health (cell, domain_id, forced, force_reason, force_until)"
    " values ($1::smallint, $2::bigint, $3::text, $4::text, $5::timestamptz)"
    " on conflict (cell, domain_id) do update set forced = excluded.forced, force_reason = excluded.force_reason,"
    "    force_until = excluded.force_until",
};
static const struct db_statement tell = {
    "provision_health_tell",
    "select health_tell($1::bigint, d.cell, d.id, d.customer_id, d.name, 'health.forced', null,"
    "  coalesce('forced ' || $3::text, 'not forced any more') || coalesce(': ' || $4::text, ''),"
    "  jsonb_build_object('force', $3::text, 'reason', $4::text, 'until', time_text($5::timestamptz)))"
    "  from domain d where d.id = $2::bigint",
};

AWAITS enum db_write provision_health_force(struct arena *arena, int64_t domain_id, struct slice forced,
                                            struct slice reason, int64_t until_ms, const struct provision_actor *actor,
                                            struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    unsigned cell = id_cell(domain_id);
    params_int64(db_unit_add(unit, &require), domain_id);
    struct params *params = db_unit_add(unit, &force);
    params_int16(params, (int16_t)cell);
    params_int64(params, domain_id);
    params_text(params, forced);
    params_text(params, reason);
    params_time(params, until_ms);
    params = db_unit_add(unit, &tell);
    params_int64(params, id_make(cell));
    params_int64(params, domain_id);
    params_text(params, forced);
    params_text(params, reason);
    params_time(params, until_ms);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement events = {
    "provision_health_events",
    "select id, at, type, detail, coalesce(outage_id, 0) from health_event where cell = $1::smallint"
    "   and domain_id = $2::bigint and ($3::bigint = 0 or id < $3::bigint) order by id desc limit $4::integer",
};

AWAITS enum db_status provision_health_events(struct arena *arena, int64_t domain_id, int64_t before, unsigned limit,
                                              struct provision_health_event **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(domain_id));
    params_int64(&params, domain_id);
    params_int64(&params, before);
    params_int32(&params, (int32_t)limit);
    if (db_read(arena, &events, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        (*out)[*count] = (struct provision_health_event){row_int64(rows, *count, 0), row_time(rows, *count, 1),
                                                         row_int64(rows, *count, 4), row_text(rows, *count, 2),
                                                         row_text(rows, *count, 3)};
    return DB_FOUND;
}
