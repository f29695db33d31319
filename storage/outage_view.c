/*
 * outage_view: outages as they are shown.
 *
 * What an outage came to is counted when it has ended (outage_report.h), and kept with it.  Before that it is counted
 * when it alone is asked for: that reads the events of its time, page by page as the report does, which a list of a
 * thousand does not, and not for longer than COUNT_MS, as somebody waits.
 *
 * An account's drill is one as well (storage/drill.h), but in no list: its domain was not away.
 */
#include "storage/outage_view.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"

#define PAGE 1000
#define COUNT_MS 3000

#define COLUMNS                                                                                                        \
    "select o.id, coalesce(o.domain_id, (select a.domain_id from account a where a.id = o.account_id), 0),"            \
    "       coalesce(o.customer_id, 0), o.domain, o.reason, o.detection, o.end_reason,"                                \
    "       o.started_at, o.ended_at, o.failing_at, o.shown_at, o.back_at, o.account,"
#define KEPT                                                                                                           \
    " o.counted_at, coalesce(o.held, -1), coalesce(o.drained, -1), coalesce(o.remaining, -1), coalesce(o.read, -1),"   \
    " coalesce(o.answered, -1), coalesce(o.uncertain, -1), coalesce(o.lost, -1), -1 from outage o "

static const struct db_statement list = {
    "outage_view_list",
    COLUMNS KEPT "where o.account_id is null and ($1::bigint = 0 or o.id < $1::bigint)"
                 "   and ($2::bigint = 0 or o.customer_id = $2::bigint)"
                 "   and ($3::bigint = 0 or o.domain_id = $3::bigint) and (not $4::boolean or o.ended_at is null)"
                 "   and (not $5::boolean or o.ended_at is not null) order by o.id desc limit $6::integer",
};
static const struct db_statement get = {
    "outage_view_get",
    COLUMNS
    " o.counted_at, coalesce(o.held, -1), coalesce(o.drained, -1),"
    " case when o.ended_at is null then (select count(*) from (select from queue_entry q where q.cell = o.cell"
    "      and q.domain_id = o.domain_id limit 100000) q) else coalesce(o.remaining, -1) end,"
    " coalesce(o.read, -1), coalesce(o.answered, -1), coalesce(o.uncertain, -1), coalesce(o.lost, -1),"
    " (select count(*) from (select from carry k where k.cell = o.cell and k.domain_id = o.domain_id"
    "      and k.state = 'waiting' and k.made_at >= o.started_at and k.made_at < coalesce((select min(n.started_at)"
    "          from outage n where n.domain_id = o.domain_id and n.started_at > o.started_at), 'infinity')"
    "    limit 100000) k)"
    "  from outage o where o.cell = $1::smallint and o.id = $2::bigint",
};
static const struct db_statement count_page = {
    "outage_view_count",
    "select n.last, n.looked, n.held, n.drained, n.read, n.answered, n.uncertain, n.lost"
    "  from outage o, outage_count_page(o, $3::bigint, $4::integer) n where o.cell = $1::smallint and o.id = $2::bigint",
};

/* The same, and how many are remaining. */
static const struct db_statement count_drill = {
    "outage_view_count_drill",
    "select n.last, n.looked, n.held, n.drained, n.read, n.answered, n.uncertain, n.lost, n.remaining"
    "  from outage o, drill_count_page(o, $3::bigint, $4::integer) n where o.cell = $1::smallint and o.id = $2::bigint",
};

/*
 * Deliveries since the primary answered, last; id: of that time, so that no older event is read.  None while it is away
 * again, or made to be: nothing is drained then, and nobody knows when that will be.
 */
static const struct db_statement count_since = {
    "outage_view_since",
    "select count(*) from outage o cross join lateral (select from event e"
    "   where e.cell = o.cell and e.id >= $3::bigint and e.at >= o.back_at and e.kind = 'delivered'"
    "     and right(e.recipient, length(o.domain) + 1) = '@' || o.domain limit 100000) e"
    "  where o.cell = $1::smallint and o.id = $2::bigint and o.back_at is not null"
    "    and coalesce(domain_forced(o.cell, o.domain_id), '') <> 'down'"
    "    and not exists (select from domain_health h where h.cell = o.cell and h.domain_id = o.domain_id and h.state = 'down')",
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
        .account = row_text(rows, row, 12),
        .counted_ms = row_time(rows, row, 13),
        .held = row_int64(rows, row, 14),
        .drained = row_int64(rows, row, 15),
        .remaining = row_int64(rows, row, 16),
        .read = row_int64(rows, row, 17),
        .answered = row_int64(rows, row, 18),
        .uncertain = row_int64(rows, row, 19),
        .lost = row_int64(rows, row, 20),
        .carrying = row_int64(rows, row, 21),
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

/* FOUND: all of it.  NONE: the time was over before. */
static AWAITS enum db_status count(struct arena *arena, int64_t id, struct outage_view *out)
{
    const struct db_statement *statement = out->account.p ? &count_drill : &count_page;
    struct outage_view sums = {0};
    uint64_t give_up = clock_steady_ms() + COUNT_MS;
    int64_t after = 0, looked = PAGE;

    while (looked == PAGE) {
        struct params params;
        struct rows *rows = NULL;

        if (clock_steady_ms() >= give_up)
            return DB_NONE;
        params_init(&params, arena);
        params_int16(&params, (int16_t)id_cell(id));
        params_int64(&params, id);
        params_int64(&params, after);
        params_int32(&params, PAGE);
        if (db_read(arena, statement, &params, &rows) != DB_FOUND)
            return DB_FAILED;
        after = row_int64(rows, 0, 0);
        looked = row_int64(rows, 0, 1);
        sums.held += row_int64(rows, 0, 2);
        sums.drained += row_int64(rows, 0, 3);
        sums.read += row_int64(rows, 0, 4);
        sums.answered += row_int64(rows, 0, 5);
        sums.uncertain += row_int64(rows, 0, 6);
        sums.lost += row_int64(rows, 0, 7);
        sums.remaining += statement == &count_drill ? row_int64(rows, 0, 8) : 0;
    }
    out->held = sums.held;
    out->drained = sums.drained;
    out->read = sums.read;
    out->answered = sums.answered;
    out->uncertain = sums.uncertain;
    out->lost = sums.lost;
    if (statement == &count_drill)
        out->remaining = sums.remaining;
    return DB_FOUND;
}

/* FAILED: it stays unknown how fast it is. */
static AWAITS void measure(struct arena *arena, struct outage_view *out)
{
    struct params params;
    struct rows *rows = NULL;

    if (out->back_ms == INT64_MIN || out->ended_ms != INT64_MIN)
        return;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(out->id));
    params_int64(&params, out->id);
    params_int64(&params, id_at(out->back_ms));
    if (db_read(arena, &count_since, &params, &rows) == DB_FOUND)
        out->drained_since_back = row_int64(rows, 0, 0);
}

AWAITS enum db_status outage_view_get(struct arena *arena, int64_t id, struct outage_view *out)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(id));
    params_int64(&params, id);
    enum db_status status = db_read(arena, &get, &params, &rows);
    if (status != DB_FOUND)
        return status;
    read_row(rows, 0, out);
    if (out->counted_ms != INT64_MIN)
        return DB_FOUND;
    if (out->account.p)
        out->remaining = -1; /* its domain has others that wait */
    status = count(arena, id, out);
    if (out->account.p)
        out->drained_since_back = out->drained; /* it has no relapse */
    else
        measure(arena, out);
    return status == DB_FAILED ? DB_FAILED : DB_FOUND;
}
