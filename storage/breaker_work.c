/*
 * breaker: what is still to be done about one that is open: its owner is told, and what the account has waiting is
 * held.
 *
 * Both are done by the worker that has the account's cell, and noted beside the mark (breaker_open), so that one that
 * dies leaves it to the next.  The notice has its id from the opening on, and a message of one id is accepted once.
 *
 * What waits is found by walking the queue, some 2,000 entries at a time: the entry does not know which account
 * submitted it, and an index that all mail pays for is not worth what happens so seldom.  What a worker has in its
 * memory at that moment is passed over; so the walk is made again after 5, 10, 20 and so on seconds, up to ten minutes:
 * whatever is put off is found by it.  What somebody has let go meanwhile is left alone.
 *
 * What waits until a time that its sender gave, at the limit of a grant, or until a suspension is over, and would go
 * then, is held, too: else whoever has the password would only have to ask for a later time.  What is released while
 * the suspension lasts is suspended again by whoever comes upon it.
 */
#include "core/clock.h"
#include "core/id.h"
#include "storage/breaker_open.h"
#include "storage/db.h"
#include "storage/queue_internal.h"

#define WALK 2000

/* Not held yet, or so that it would go by itself meanwhile. */
#define GOES(q)                                                                                                        \
    "(" q "held_until is null or (" q "held_by in ('sender', 'limit', 'suspension') and " q "held_then = 'release'))"
/*
 * Somebody has let it go since, having looked at it; or its hold by this opening ($5 is its reason) is over.  Asked for
 * each entry by itself (so coalesce): events are many, and not to be walked through.
 */
#define DECIDED                                                                                                        \
    "coalesce(exists (select from event v join held_account h on h.account_id = $8::bigint and v.at >= h.created_at"   \
    "         where v.cell = q.cell and v.message_id = q.message_id and v.recipient = q.recipient"                     \
    "           and (v.kind = 'decided' or (v.kind = 'released' and v.detail = $5::text))), false)"
#define UNTIL "case when q.held_by = 'sender' then greatest($4::timestamptz, q.held_until) else $4::timestamptz end"
#define MOVED "(" UNTIL " - coalesce(q.held_until, now()))"

#define LOOK                                                                                                           \
    "(o.looked_at is null or (h.created_at > now() - interval '10 minutes'"                                            \
    "  and o.looked_at < now() - greatest(interval '5 seconds', o.looked_at - h.created_at)))"
/* Only where something is to be done: many that are open keep no other from its turn.  Telling is after holding. */
static const struct db_statement list = {
    "breaker_work",
    "select o.account_id, a.customer_id, o.notice_id, a.address, o.notify, o.measure, o.value, o.most,"
    " h.created_at, h.until,"
    "       h.hold_seconds, h.hold_then, o.told_at is not null, " LOOK
    "  from breaker_open o join held_account h on h.account_id = o.account_id join account a on a.id = o.account_id"
    " where a.cell = any($1::smallint[]) and (o.told_at is null or " LOOK ")"
    " order by o.looked_at is not null, o.account_id limit 100"};
static const struct db_statement is_there = {"breaker_notice_there",
                                             "select 1 from message where cell = $1::smallint and id = $2::bigint"};
static const struct db_statement told = {"breaker_told",
                                         "update breaker_open set told_at = now() where account_id = $1::bigint"};

AWAITS enum db_status breaker_work_list(struct arena *arena, const int16_t *cells, unsigned cell_count,
                                        struct breaker_work **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    if (db_read(arena, &list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (; *count < rows_count(rows); (*count)++) {
        struct breaker_work *work = &(*out)[*count];

        *work = (struct breaker_work){
            .account_id = row_int64(rows, *count, 0),
            .customer_id = row_int64(rows, *count, 1),
            .notice_id = row_int64(rows, *count, 2),
            .address = row_text(rows, *count, 3),
            .notify = row_text(rows, *count, 4),
            .trip = {.value = (uint32_t)row_int64(rows, *count, 6), .limit = (uint32_t)row_int64(rows, *count, 7)},
            .opened_ms = row_time(rows, *count, 8),
            .until_ms = row_time(rows, *count, 9),
            .hold_ms = row_int64(rows, *count, 10) * 1000,
            .told = row_bool(rows, *count, 12),
            .look = row_bool(rows, *count, 13),
        };
        breaker_measure_parse(row_text(rows, *count, 5), &work->trip.measure);
        hold_then_parse(row_text(rows, *count, 11), &work->then);
    }
    return *count ? DB_FOUND : DB_NONE;
}

AWAITS enum db_status breaker_is_told(int64_t notice_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(notice_id));
    params_int64(&params, notice_id);
    status = db_read(arena, &is_there, &params, &rows);
    arena_free(&arena);
    return status;
}

static AWAITS enum db_write note(const struct db_statement *statement, int64_t account_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    params_int64(db_unit_add(unit, statement), account_id);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

AWAITS enum db_write breaker_told(int64_t account_id)
{
    return note(&told, account_id);
}

/* ------------------------------------------------------------------ what waits */

static const struct db_statement walk = {
    "breaker_walk",
    "select l.id, " GOES(
        "l.") " and l.destination <> 'mailbox' and exists (select from message m"
              "         where m.cell = l.cell and m.id = l.message_id and m.account_id = $1::bigint)"
              "  from (select cell, id, message_id, held_until, held_by, held_then, destination from queue_entry"
              "         where worker is null and id > $2::bigint order by id limit 2000) l order by l.id"};
#define WHICH(u)                                                                                                       \
    " from " u " where " QUEUE_ENTRY_IS " and " QUEUE_ENTRY_NOBODYS                                                    \
    " and " GOES("q.") " and not " DECIDED "   and exists (select from breaker_open where account_id = $8::bigint)"
static const struct db_statement hold = {
    "breaker_hold_waiting",
    "with held as (update queue_entry q set held_until = " UNTIL ", held_by = 'breaker', suspension_id = null,"
    "        held_reason = $5::text, held_then = $6::text, held_approval = true,"
    "        expires_at = q.expires_at + " MOVED ", delay_at = q.delay_at + " MOVED WHICH(QUEUE_LIST(
        "$1::smallint[], $2::bigint[]",
        "cell, id")) " returning q.cell, q.id, q.message_id, q.recipient)"
                     " insert into event (cell, id, at, message_id, recipient, kind, detail)"
                     " select h.cell, e.event_id, now(), h.message_id, h.recipient, 'held', $7::text"
                     "   from held h join unnest($1::smallint[], $2::bigint[], $3::bigint[]) e (cell, id, event_id)"
                     "     on h.cell = e.cell and h.id = e.id on conflict do nothing returning id"};
static const struct db_statement looked = {"breaker_looked",
                                           "update breaker_open set looked_at = now() where account_id = $1::bigint"};

static AWAITS enum db_write hold_these(const struct breaker_work *work, const int64_t *ids, unsigned count,
                                       unsigned *held)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    int64_t *events = arena_array(arena, count, sizeof *events);
    const struct hold how = {.until_ms = clock_now_ms() + work->hold_ms,
                             .by = HOLD_BY_BREAKER,
                             .then = work->then,
                             .reason = breaker_reason(arena, &work->trip),
                             .approval = true};
    struct params *params = db_unit_add(unit, &hold);
    enum db_write written;

    for (unsigned i = 0; i < count; i++) {
        cells[i] = (int16_t)id_cell(ids[i]);
        events[i] = id_make(id_cell(ids[i]));
    }
    params_int16s(params, cells, count);
    params_int64s(params, ids, count);
    params_int64s(params, events, count);
    params_time(params, how.until_ms);
    params_text(params, how.reason);
    params_text(params, slice_str(hold_then_word(how.then)));
    params_text(params, hold_detail(arena, &how));
    params_int64(params, work->account_id);
    written = queue_run_patiently(unit);
    if (written == DB_DONE)
        *held += rows_count(unit->steps[0].rows);
    arena_free(&arena);
    return written;
}

AWAITS enum db_write breaker_hold_waiting(const struct breaker_work *work, int64_t *after, unsigned *held)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_DONE;
    struct params params;
    struct rows *rows = NULL;
    unsigned found = 0, count = 0;

    params_init(&params, arena);
    params_int64(&params, work->account_id);
    params_int64(&params, *after);
    if (db_read(arena, &walk, &params, &rows) == DB_FAILED) {
        arena_free(&arena);
        return DB_UNDONE;
    }
    found = rows_count(rows);
    int64_t *ids = arena_array(arena, found + 1, sizeof *ids);
    for (unsigned i = 0; i < found; i++)
        if (row_bool(rows, i, 1))
            ids[count++] = row_int64(rows, i, 0);
    if (count)
        written = hold_these(work, ids, count, held);
    if (written == DB_DONE)
        *after = found == WALK ? row_int64(rows, found - 1, 0) : 0;
    if (written == DB_DONE && !*after)
        written = note(&looked, work->account_id);
    arena_free(&arena);
    return written;
}
