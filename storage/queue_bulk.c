/*
 * queue_bulk: actions on many entries, as administrators make, start and stop them.
 *
 * Two steps, so that nobody does to a million what he meant for ten: the first counts, the second must name the
 * count.  Each is audited once; what becomes of each message is an event of the message (queue_act.c).
 *
 * Counting reads all that the filter's road leads to, once.  Old rows are removed when a new one is made.
 */
#include "storage/queue_bulk.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"
#include "storage/queue_bulk_row.h"

void queue_bulk_read(const struct rows *rows, unsigned row, struct queue_bulk *out)
{
    *out = (struct queue_bulk){
        .id = row_int64(rows, row, 0),
        .filter = {.domain = row_text(rows, row, 2),
                   .sender = row_text(rows, row, 3),
                   .destination = row_text(rows, row, 4),
                   .customer_id = row_int64(rows, row, 5),
                   .since_ms = row_time(rows, row, 7),
                   .before_ms = row_time(rows, row, 8),
                   .message_id = row_int64(rows, row, 22),
                   .account_id = row_int64(rows, row, 27),
                   .group_id = row_int64(rows, row, 28),
                   .held_by = row_text(rows, row, 23),
                   .quarantine = row_is_null(rows, row, 24) ? 0
                                 : row_bool(rows, row, 24)  ? 1
                                                            : -1},
        .act = {.hold = {.until_ms = row_time(rows, row, 9),
                         .reason = row_text(rows, row, 11),
                         .approval = row_bool(rows, row, 25),
                         .quarantine = row_bool(rows, row, 26)},
                .destination = row_text(rows, row, 12),
                .priority = (int)row_int64(rows, row, 13)},
        .state = row_text(rows, row, 14),
        .matched = row_int64(rows, row, 15),
        .cursor = row_int64(rows, row, 16),
        .done = row_int64(rows, row, 17),
        .skipped = row_int64(rows, row, 18),
        .created_ms = row_time(rows, row, 19),
        .started_ms = row_time(rows, row, 20),
        .ended_ms = row_time(rows, row, 21),
    };
    out->filter.state =
        (unsigned)row_int64(rows, row, 6) <= QUEUE_FILTER_SUSPENDED ? (int)row_int64(rows, row, 6) : QUEUE_FILTER_ANY;
    if (!queue_act_parse(row_text(rows, row, 1), &out->act.kind))
        out->act.kind = QUEUE_ACT_RETRY; /* the table has no other words */
    hold_then_parse(row_text(rows, row, 10), &out->act.hold.then);
}

/* ------------------------------------------------------------------ making */

static const struct db_statement clean = {
    "queue_bulk_clean", "delete from queue_action where (state = 'previewed' and created_at < now() - interval '1 day')"
                        " or ended_at < now() - interval '30 days'"};
static const struct db_statement require_room = {
    "queue_bulk_require_room",
    "select refuse('queue_action_many') where (select count(*) from queue_action) >= $1::integer"};
static const struct db_statement insert = {
    "queue_bulk_insert",
    "insert into queue_action (id, kind, domain, sender, destination, customer_id, in_state, since, before, held_until,"
    "                          held_then, reason, to_destination, priority, matched, message_id, held_by, in_quarantine,"
    "                          held_approval, quarantined, account_id, similar_id)"
    " values ($1::bigint, $2::text, $3::text, $4::text, $5::text, nullif($6::bigint, 0), $7::smallint, $8::timestamptz,"
    "         $9::timestamptz, $10::timestamptz, $11::text, $12::text, $13::text, $14::smallint, $15::bigint,"
    "         nullif($16::bigint, 0), $17::text, $18::boolean, $19::boolean, $20::boolean, nullif($21::bigint, 0),"
    "         nullif($22::bigint, 0))"};

AWAITS enum db_write queue_bulk_create(struct arena *arena, struct queue_bulk *bulk,
                                       const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    bool hold = bulk->act.kind == QUEUE_ACT_HOLD;
    int64_t now = clock_now_ms();
    struct params *p;

    if (bulk->filter.before_ms == INT64_MIN || bulk->filter.before_ms > now)
        bulk->filter.before_ms = now;
    if (queue_filter_count(arena, &bulk->filter, &bulk->matched) != DB_FOUND)
        return DB_UNDONE;
    bulk->id = id_make(0);
    db_unit_add(unit, &clean);
    params_int32(db_unit_add(unit, &require_room), QUEUE_BULK_MAX);
    p = db_unit_add(unit, &insert);
    params_int64(p, bulk->id);
    params_text(p, slice_str(queue_act_word(bulk->act.kind)));
    params_text(p, bulk->filter.domain);
    params_text(p, bulk->filter.sender);
    params_text(p, bulk->filter.destination);
    params_int64(p, bulk->filter.customer_id);
    params_int16(p, (int16_t)bulk->filter.state);
    params_time(p, bulk->filter.since_ms);
    params_time(p, bulk->filter.before_ms);
    params_time(p, hold ? bulk->act.hold.until_ms : INT64_MIN);
    params_text(p, slice_str(hold ? hold_then_word(bulk->act.hold.then) : NULL));
    params_text(p, bulk->act.hold.reason);
    params_text(p, bulk->act.destination);
    params_int16(p, (int16_t)bulk->act.priority);
    params_int64(p, bulk->matched);
    params_int64(p, bulk->filter.message_id);
    params_text(p, bulk->filter.held_by);
    if (bulk->filter.quarantine)
        params_bool(p, bulk->filter.quarantine > 0);
    else
        params_null(p);
    params_bool(p, bulk->act.hold.approval);
    params_bool(p, bulk->act.hold.quarantine);
    params_int64(p, bulk->filter.account_id);
    params_int64(p, bulk->filter.group_id);
    return provision_run(unit, actor, refusal);
}

/* ------------------------------------------------------------------ looking */

static const struct db_statement get = {"queue_bulk_get",
                                        "select " QUEUE_BULK_COLUMNS " from queue_action where id = $1::bigint"};
static const struct db_statement list = {
    "queue_bulk_list", "select " QUEUE_BULK_COLUMNS " from queue_action where ($1::bigint = 0 or id < $1::bigint)"
                       " order by id desc limit $2::integer"};

AWAITS enum db_status queue_bulk_get(struct arena *arena, int64_t id, struct queue_bulk *out)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int64(&params, id);
    enum db_status status = db_read(arena, &get, &params, &rows);
    if (status == DB_FOUND)
        queue_bulk_read(rows, 0, out);
    return status;
}

AWAITS enum db_status queue_bulk_list(struct arena *arena, const struct provision_page *page, struct queue_bulk **out,
                                      unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;

    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int64(&params, page->after);
    params_int32(&params, (int32_t)page->limit);
    if (db_read(arena, &list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        queue_bulk_read(rows, *count, &(*out)[*count]);
    return DB_FOUND;
}

/* ------------------------------------------------------------------ starting and stopping */

static const struct db_statement require = {
    "queue_bulk_require",
    "select refuse('gone') where not exists (select from queue_action where id = $1::bigint for update)"};
static const struct db_statement require_start = {
    "queue_bulk_require_start",
    "select case when state <> 'previewed' then refuse('queue_action_started')"
    "            when matched <> $2::bigint then refuse('queue_action_count') end from queue_action where id = $1::bigint"};
static const struct db_statement start = {
    "queue_bulk_start", "update queue_action set state = 'running', started_at = now() where id = $1::bigint"};
static const struct db_statement require_stop = {
    "queue_bulk_require_stop",
    "select refuse('queue_action_over') from queue_action where id = $1::bigint and state in ('done', 'stopped')"};
static const struct db_statement stop = {
    "queue_bulk_stop", "update queue_action set state = 'stopped', ended_at = now() where id = $1::bigint"};

AWAITS enum db_write queue_bulk_start(struct arena *arena, int64_t id, int64_t count,
                                      const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *p;

    params_int64(db_unit_add(unit, &require), id);
    p = db_unit_add(unit, &require_start);
    params_int64(p, id);
    params_int64(p, count);
    params_int64(db_unit_add(unit, &start), id);
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write queue_bulk_stop(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                     struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);

    params_int64(db_unit_add(unit, &require), id);
    params_int64(db_unit_add(unit, &require_stop), id);
    params_int64(db_unit_add(unit, &stop), id);
    return provision_run(unit, actor, refusal);
}
