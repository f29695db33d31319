/*
 * drill_run: what the holder of the cell does with an account's drill, from its time to its end.
 *
 * What a worker has in its memory when it begins goes on, as with any outage that is planned; what waits, as it was put
 * off, is held by the tick, and so is what a worker gives back meanwhile, or what somebody else has held and lets go.  What an outage of the domain has shown
 * before goes with that.
 *
 * Each entry that is held has an event 'held' that ends in "drill ID" (the acceptance writes it for new mail), by which
 * the report finds what was its: drill_count_page() of the schema.
 *
 * All of it may be repeated, and is done by whoever has the cell; who comes late changes nothing of a drill that is
 * closed.
 */
#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"
#include "storage/drill.h"
#include "storage/queue_internal.h"
#include "storage/show.h"

/* ------------------------------------------------------------------ beginning */

static const struct db_statement due = {
    "drill_due", "select b.cell, b.id from absence b where b.cell = any($1::smallint[]) and b.account_id is not null"
                 "   and b.outage_id is null and b.starts_at <= now() and b.ends_at > now() order by b.id"};
static const struct db_statement begin = {
    "drill_begin",
    "with made as ("
    " insert into outage (cell, id, account_id, account, customer_id, domain, started_at, reason, detection,"
    "                     failing_at)"
    " select b.cell, $3::bigint, a.id, a.address, d.customer_id, d.name, now(), b.reason, 'drill', b.starts_at"
    "   from absence b join account a on a.id = b.account_id join domain d on d.id = b.domain_id"
    "  where b.cell = $1::smallint and b.id = $2::bigint and b.outage_id is null"
    " on conflict (cell, account_id) where ended_at is null and account_id is not null do nothing returning *),"
    " made_by as (update absence b set outage_id = made.id from made where b.cell = made.cell and b.id = $2::bigint)"
    " select webhook_emit($4::bigint, 'outage.opened', made.customer_id, drill_told(made)) from made"};

static AWAITS enum db_write begin_one(struct arena *arena, unsigned cell, int64_t id, unsigned *count)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &begin);
    enum db_write written;

    params_int16(p, (int16_t)cell);
    params_int64(p, id);
    params_int64(p, id_make(cell));
    params_int64(p, id_make(cell));
    written = db_unit_run(unit);
    *count += written == DB_DONE && rows_count(unit->steps[0].rows);
    return written;
}

enum db_write drill_begin(const int16_t *cells, unsigned cell_count, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_UNDONE;
    struct params params;
    struct rows *rows = NULL;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    switch (db_read(arena, &due, &params, &rows)) {
    case DB_FOUND:
        written = DB_DONE;
        for (unsigned i = 0; i < rows_count(rows) && written == DB_DONE; i++)
            written = begin_one(arena, (unsigned)row_int64(rows, i, 0), row_int64(rows, i, 1), count);
        break;
    case DB_NONE: written = DB_DONE; break;
    case DB_FAILED: break;
    }
    arena_free(&arena);
    return written;
}

static const struct db_statement open_list = {
    "drill_open", "select o.cell, o.id, o.account_id, coalesce(a.domain_id, 0), o.account, o.back_at, b.ends_at,"
                  "       o.shown_at is not null"
                  "  from outage o left join account a on a.id = o.account_id"
                  "  left join absence b on b.cell = o.cell and b.outage_id = o.id"
                  " where o.cell = any($1::smallint[]) and o.account_id is not null and o.ended_at is null"
                  " order by o.id"};

enum db_status drill_open(struct arena *arena, const int16_t *cells, unsigned cell_count, struct drill **out,
                          unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    if (db_read(arena, &open_list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (; *count < rows_count(rows); ++*count)
        (*out)[*count] = (struct drill){
            .cell = (unsigned)row_int64(rows, *count, 0),
            .outage_id = row_int64(rows, *count, 1),
            .account_id = row_int64(rows, *count, 2),
            .domain_id = row_int64(rows, *count, 3),
            .account = row_text(rows, *count, 4),
            .back_ms = row_time(rows, *count, 5),
            .ends_ms = row_time(rows, *count, 6),
            .shown = row_bool(rows, *count, 7),
        };
    return DB_FOUND;
}

/* ------------------------------------------------------------------ while it is on */

/* Also what would go now, as a hold of somebody else's is over (storage/hold.c leaves it). */
#define WAITS                                                                                                          \
    " q.worker is null and not q.shown and (q.held_until is null"                                                      \
    "  or (q.held_until <= now() and q.held_then = 'release' and q.held_by <> 'drill'))"
#define THESE " from unnest($2::bigint[]) u (id) join queue_entry q on q.cell = $1::smallint and q.id = u.id and" WAITS

static const struct db_statement waiting = {
    "drill_waiting", "select q.id from queue_entry q where q.cell = $1::smallint and q.domain_id = $2::bigint"
                     "   and q.account_id = $3::bigint and" WAITS " order by q.id limit $4::integer"};
static const struct db_statement lock = {"drill_lock", "select q.id" THESE " order by q.id for update of q"};
static const struct db_statement event = {
    "drill_event", "insert into event (cell, id, at, message_id, recipient, kind, detail)"
                   " select q.cell, e.event_id, $5::timestamptz, q.message_id, q.recipient, 'held', $4::text"
                   "   from unnest($2::bigint[], $3::bigint[]) e (id, event_id)"
                   "   join queue_entry q on q.cell = $1::smallint and q.id = e.id and" WAITS};
static const struct db_statement hold = {
    "drill_hold", "update queue_entry h set held_until = $3::timestamptz, held_by = 'drill', held_reason = $4::text,"
                  "       held_then = 'release', held_approval = false, quarantined = false, suspension_id = null,"
                  "       similar_id = null,"
                  "       expires_at = h.expires_at + ($3::timestamptz - coalesce(h.held_until, now())),"
                  "       delay_at = h.delay_at + ($3::timestamptz - coalesce(h.held_until, now()))"
                  "  from (select q.cell, q.id" THESE ") t where h.cell = t.cell and h.id = t.id"};

static AWAITS enum db_write hold_these(struct arena *arena, const struct drill *drill, const int64_t *ids,
                                       unsigned count)
{
    const struct hold held = {drill->ends_ms, HOLD_BY_DRILL, HOLD_THEN_RELEASE, drill_reason(arena, drill->outage_id),
                              false,          false};
    static const struct db_statement *const steps[] = {&lock, &event, &hold};
    struct db_unit *unit = db_unit_new(arena);
    int64_t *events = arena_array(arena, count, sizeof *events);

    for (unsigned i = 0; i < count; i++)
        events[i] = id_make(drill->cell);
    for (unsigned i = 0; i < 3; i++) {
        struct params *p = db_unit_add(unit, steps[i]);

        params_int16(p, (int16_t)drill->cell);
        params_int64s(p, ids, count);
        if (steps[i] == &event) {
            params_int64s(p, events, count);
            params_text(p, hold_detail(arena, &held));
            params_time(p, clock_now_ms());
        } else if (steps[i] == &hold) {
            params_time(p, held.until_ms);
            params_text(p, held.reason);
        }
    }
    return queue_run_patiently(unit);
}

/* Those that the statement lists: $1 the cell, $2 the domain or nothing, then the account and the limit. */
static AWAITS enum db_status list_entries(struct arena *arena, const struct db_statement *statement,
                                          const struct drill *drill, unsigned limit, int64_t **ids, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;

    *count = 0;
    params_init(&params, arena);
    params_int16(&params, (int16_t)drill->cell);
    if (statement == &waiting)
        params_int64(&params, drill->domain_id);
    params_int64(&params, drill->account_id);
    params_int32(&params, (int32_t)limit);
    if (db_read(arena, statement, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *ids = arena_array(arena, rows_count(rows) + 1, sizeof **ids);
    for (; *count < rows_count(rows); ++*count)
        (*ids)[*count] = row_int64(rows, *count, 0);
    return *count ? DB_FOUND : DB_NONE;
}

enum db_write drill_hold(const struct drill *drill, unsigned limit, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_UNDONE;
    int64_t *ids = NULL;

    switch (list_entries(arena, &waiting, drill, limit, &ids, count)) {
    case DB_FOUND: written = hold_these(arena, drill, ids, *count); break;
    case DB_NONE: written = DB_DONE; break;
    case DB_FAILED: break;
    }
    arena_free(&arena);
    return written;
}

static const struct db_statement unshown = {
    "drill_unshown", "select id from queue_entry where cell = $1::smallint and account_id = $2::bigint"
                     "   and held_by = 'drill' and not shown order by id limit $3::integer"};

enum db_write drill_show(const struct drill *drill, unsigned limit, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_UNDONE;
    unsigned shown;
    int64_t *ids = NULL;

    switch (list_entries(arena, &unshown, drill, limit, &ids, count)) {
    case DB_FOUND: written = show_entries(drill->cell, ids, *count, &shown); break;
    case DB_NONE: written = DB_DONE; break;
    case DB_FAILED: break;
    }
    arena_free(&arena);
    return written;
}

/* ------------------------------------------------------------------ its end */

static const struct db_statement note_shown = {
    "drill_note_shown", "update outage set shown_at = now() where cell = $1::smallint and id = $2::bigint"
                        "   and shown_at is null and ended_at is null"};
static const struct db_statement note_back = {
    "drill_note_back", "update outage set back_at = now() where cell = $1::smallint and id = $2::bigint"
                       "   and back_at is null and ended_at is null"};
/* What had been put off before is due as well, since it was accepted (core/id.h): it goes before what came later. */
static const struct db_statement release = {
    "drill_release",
    "update queue_entry q set held_until = now(),"
    "       due_at = case when q.attempts > 0 then least(q.due_at, " QUEUE_ACCEPTED(
        "q") ") else q.due_at end,"
             "       expires_at = q.expires_at + (now() - q.held_until),"
             "       delay_at = q.delay_at + (now() - q.held_until)"
             "  from (select cell, id from queue_entry where cell = $1::smallint and account_id = $2::bigint"
             "           and held_by = 'drill' and worker is null and held_until > now() order by id limit $3::integer"
             "           for update skip locked) t"
             " where q.cell = t.cell and q.id = t.id"};
static const struct db_statement is_even = {
    "drill_is_even", "select not exists (select from queue_entry where cell = $1::smallint and account_id = $3::bigint"
                     "           and held_by = 'drill')"
                     "   and not exists (select from queue_entry where cell = $1::smallint and domain_id = $2::bigint"
                     "           and account_id = $3::bigint and id < $4::bigint"
                     "           and (worker is not null or (held_until is null and due_at <= now())))"};
static const struct db_statement end = {
    "drill_end", "select drill_end($3::bigint, $1::smallint, $2::bigint, $4::text, $5::timestamptz)"};

static struct params *step(struct db_unit *unit, const struct db_statement *statement, const struct drill *drill)
{
    struct params *p = db_unit_add(unit, statement);

    params_int16(p, (int16_t)drill->cell);
    params_int64(p, drill->outage_id);
    return p;
}

static AWAITS enum db_write note(const struct db_statement *statement, const struct drill *drill)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    step(unit, statement, drill);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

enum db_write drill_note_shown(const struct drill *drill)
{
    return note(&note_shown, drill);
}

enum db_write drill_note_back(const struct drill *drill)
{
    return note(&note_back, drill);
}

enum db_write drill_release(const struct drill *drill, unsigned limit, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &release);
    enum db_write written;

    params_int16(p, (int16_t)drill->cell);
    params_int64(p, drill->account_id);
    params_int32(p, (int32_t)limit);
    written = queue_run_patiently(unit);
    *count = written == DB_DONE ? rows_affected(unit->steps[0].rows) : 0;
    arena_free(&arena);
    return written;
}

enum db_status drill_is_even(const struct drill *drill, bool *even)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    params_init(&params, arena);
    params_int16(&params, (int16_t)drill->cell);
    params_int64(&params, drill->domain_id);
    params_int64(&params, drill->account_id);
    params_int64(&params, id_at(drill->back_ms));
    status = db_read(arena, &is_even, &params, &rows);
    if (status == DB_FOUND)
        *even = row_bool(rows, 0, 0);
    arena_free(&arena);
    return status;
}

enum db_write drill_close(const struct drill *drill, const char *why)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = step(unit, &end, drill);
    enum db_write written;

    params_int64(p, id_make(drill->cell));
    params_text(p, slice_str(why));
    params_time(p, clock_now_ms());
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}
