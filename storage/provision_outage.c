/*
 * provision_outage: how a queue is drained, by request.
 *
 * The wish stands in the outage's row, which the worker that runs the outage reads twice a second (daemon/outages.c); it
 * counts whether the primary is back already or not, and ends with the outage.
 */
#include "storage/provision_outage.h"

#include "core/id.h"
#include "storage/db.h"

static const struct db_statement get = {
    "provision_outage_get",
    "select pace = 'fast', newest_first from outage where cell = $1::smallint and id = $2::bigint"
    "   and account_id is null and ended_at is null"};
static const struct db_statement require = {
    "provision_outage_require", "select refuse('gone') where not exists (select from outage where cell = $1::smallint"
                                "   and id = $2::bigint and account_id is null and ended_at is null for update)"};
static const struct db_statement set = {
    "provision_outage_set", "update outage set pace = case when $3::boolean then 'fast' else 'measured' end,"
                            "       newest_first = $4::boolean where cell = $1::smallint and id = $2::bigint"};

static void params_outage(struct params *params, int64_t id)
{
    params_int16(params, (int16_t)id_cell(id));
    params_int64(params, id);
}

AWAITS enum db_status provision_outage_drain(struct arena *arena, int64_t id, struct provision_drain *out)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_outage(&params, id);
    enum db_status status = db_read(arena, &get, &params, &rows);
    if (status == DB_FOUND)
        *out = (struct provision_drain){row_bool(rows, 0, 0), row_bool(rows, 0, 1)};
    return status;
}

AWAITS enum db_write provision_outage_set_drain(struct arena *arena, int64_t id, const struct provision_drain *drain,
                                                const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *params;

    params_outage(db_unit_add(unit, &require), id);
    params = db_unit_add(unit, &set);
    params_outage(params, id);
    params_bool(params, drain->fast);
    params_bool(params, drain->newest_first);
    return provision_run(unit, actor, refusal);
}
