/*
 * outage_view: outages as they are shown.
 *
 * What an outage came to is counted when it closes, by the function outage_counts() of the schema, and kept with it.
 * Of one that is open it is counted when it alone is asked for: that reads the events of its time, which a list of a
 * thousand does not.
 */
#include "storage/outage_view.h"

#include "core/id.h"
#include "storage/db.h"

#define COLUMNS                                                                                                        \
    "select o.id, o.domain_id, coalesce(o.customer_id, 0), o.domain, o.reason, o.detection, o.end_reason,"             \
    "       o.started_at, o.ended_at, o.failing_at, o.shown_at, o.back_at,"
#define KEPT                                                                                                           \
    " coalesce(o.held, -1), coalesce(o.drained, -1), coalesce(o.remaining, -1), coalesce(o.read, -1),"                 \
    " coalesce(o.answered, -1), coalesce(o.uncertain, -1), coalesce(o.lost, -1) from outage o "

static const struct db_statement list = {
    "outage_view_list",
    COLUMNS KEPT "where ($1::bigint = 0 or o.id < $1::bigint) and ($2::bigint = 0 or o.customer_id = $2::bigint)"
                 "   and ($3::bigint = 0 or o.domain_id = $3::bigint) and (not $4::boolean or o.ended_at is null)"
                 "   and (not $5::boolean or o.ended_at is not null) order by o.id desc limit $6::integer",
};
static const struct db_statement get = {
    "outage_view_get",
    COLUMNS " n.held, n.drained, n.remaining, n.read, n.answered, n.uncertain, n.lost"
            "  from outage o cross join lateral (select (c).* from (select outage_counts(o) as c"
            "    where o.ended_at is null) counted"
            "   union all select coalesce(o.held, -1), coalesce(o.drained, -1), coalesce(o.remaining, -1),"
            "     coalesce(o.read, -1), coalesce(o.answered, -1), coalesce(o.uncertain, -1), coalesce(o.lost, -1)"
            "    where o.ended_at is not null) n"
            " where o.cell = $1::smallint and o.id = $2::bigint",
};

static void read_row(const struct rows *rows, unsigned row, struct outage_view *out)
{
    *out = (struct outage_view){
        .id = row_int64(rows, row, 0),
        .domain_id = row_int64(rows, row, 1),
        .customer_id = row_int64(rows, row, 2),
        .domain = row_text(rows, row, 3),
        .reason = row_text(rows, row, 4),
        .detection = row_text(rows, row, 5),
        .end_reason = row_text(rows, row, 6),
        .started_ms = row_time(rows, row, 7),
        .ended_ms = row_time(rows, row, 8),
        .failing_ms = row_time(rows, row, 9),
        .shown_ms = row_time(rows, row, 10),
        .back_ms = row_time(rows, row, 11),
        .held = row_int64(rows, row, 12),
        .drained = row_int64(rows, row, 13),
        .remaining = row_int64(rows, row, 14),
        .read = row_int64(rows, row, 15),
        .answered = row_int64(rows, row, 16),
        .uncertain = row_int64(rows, row, 17),
        .lost = row_int64(rows, row, 18),
    };
}

AWAITS enum db_status outage_view_list(struct arena *arena, const struct outage_view_filter *filter, int64_t before,
                                       unsigned limit, struct outage_view **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int64(&params, before);
    params_int64(&params, filter->customer_id);
    params_int64(&params, filter->domain_id);
    params_bool(&params, filter->open);
    params_bool(&params, filter->closed);
    params_int32(&params, (int32_t)limit);
    if (db_read(arena, &list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        read_row(rows, *count, &(*out)[*count]);
    return DB_FOUND;
}

AWAITS enum db_status outage_view_get(struct arena *arena, int64_t id, struct outage_view *out)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(id));
    params_int64(&params, id);
    enum db_status status = db_read(arena, &get, &params, &rows);
    if (status == DB_FOUND)
        read_row(rows, 0, out);
    return status;
}
