/*
 * suspension: what it does to the queue.
 *
 * A worker that comes upon suspended mail parks it: it is held, by 'suspension', until the suspension expires, and
 * then released as any held mail is (storage/hold.c).  So what waits costs its destination nothing.  What nobody comes
 * upon is looked for (suspension_wait.c).  Parking locks the suspension's row, which whoever resumes it writes: either
 * the entry is found by the sweep, or it is not parked.
 *
 * Resuming writes ended_at; the sweep moves the end of what it held to now, some at a time, and forgets the row when
 * there is nothing left for a while.
 */
#include "storage/suspension_internal.h"

#define LOG_MODULE "queue"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/db.h"
#include "storage/node.h"
#include "storage/queue_internal.h"

#define SWEEP_MS 1000
#define SWEEP_BATCH 1000
#define SWEEP_LIST 100

const struct db_statement suspension_lock = {
    "suspension_lock", "select id from suspension where id = $1::bigint and ended_at is null for share"};
static const struct db_statement park = {
    "suspension_park",
    "update queue_entry q set " SUSPENSION_HOLDS "  from " QUEUE_LIST(
        "$1::smallint[], $2::bigint[]",
        "cell, id") ", suspension s"
                    " where " QUEUE_ENTRY_IS " and " QUEUE_ENTRY_OF(
                        "$3::smallint") " and s.id = $4::bigint and s.ended_at is null"
                                        "   and (s.expires_at is null or s.expires_at > now()) returning q.id"};
#define BY(id) "coalesce(q.suspension_id, 0) = " id
static const struct db_statement event = {
    "suspension_event",
    "insert into event (cell, id, at, message_id, recipient, kind, detail)"
    " select q.cell, u.event_id, $5::timestamptz, q.message_id, q.recipient, 'suspended', q.held_reason" QUEUE_ENTRIES_WITH(
        "$3::bigint[]", "event_id") " and " BY("$4::bigint") " on conflict do nothing"};
/* One of a failing destination goes out as its probe, for all cells: this was none. */
static const struct db_statement wake = {
    "suspension_wake",
    "update destination d set due_at = now() where d.key in (select q.destination" QUEUE_ENTRIES "    and " BY(
        "$3::bigint") ") and d.failures > 0"
                      "   and not exists (select from outage o where o.cell = d.cell and o.ended_at is null and d.key = 'domain:' || o.domain_id)"};

AWAITS enum db_write suspension_park(const struct suspension *suspension, int64_t *entry_ids, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    int16_t *cells = arena_array(arena, *count, sizeof *cells);
    int64_t *events = arena_array(arena, *count, sizeof *events);
    struct params *p;
    enum db_write written;

    for (unsigned i = 0; i < *count; i++) {
        cells[i] = (int16_t)id_cell(entry_ids[i]);
        events[i] = id_make(id_cell(entry_ids[i]));
    }
    params_int64(db_unit_add(unit, &suspension_lock), suspension->id);
    p = db_unit_add(unit, &park);
    params_int16s(p, cells, *count);
    params_int64s(p, entry_ids, *count);
    params_int16(p, (int16_t)id_worker());
    params_int64(p, suspension->id);
    p = db_unit_add(unit, &event);
    params_int16s(p, cells, *count);
    params_int64s(p, entry_ids, *count);
    params_int64s(p, events, *count);
    params_int64(p, suspension->id);
    params_time(p, clock_now_ms());
    p = db_unit_add(unit, &wake);
    params_int16s(p, cells, *count);
    params_int64s(p, entry_ids, *count);
    params_int64(p, suspension->id);
    written = queue_run_patiently(unit);
    if (written == DB_DONE) {
        struct rows *rows = unit->steps[1].rows;

        *count = rows_count(rows);
        for (unsigned i = 0; i < *count; i++)
            entry_ids[i] = row_int64(rows, i, 0);
    }
    arena_free(&arena);
    return written;
}

/* ------------------------------------------------------------------ going on */

static const struct db_statement over = {
    "suspension_over",
    "select id from suspension where ended_at is not null or expires_at <= now() order by id limit $1::integer"};
static const struct db_statement resume = {
    "suspension_resume",
    "update queue_entry q set held_until = now(), suspension_id = null,"
    "   expires_at = q.expires_at + (now() - q.held_until), delay_at = q.delay_at + (now() - q.held_until)"
    "  from (select q.cell, q.id from queue_entry q where q.suspension_id = $1::bigint and " QUEUE_ENTRY_NOBODYS
    "           and coalesce(q.held_until, '-infinity') > '-infinity'"
    "         order by q.id limit $2::integer for update skip locked) u where " QUEUE_ENTRY_IS " returning q.id"};
static const struct db_statement forget = {
    "suspension_forget",
    "with p as (delete from suspension_pass where suspension_id = $1::bigint)"
    " delete from suspension where id = $1::bigint and least(ended_at, expires_at) < now() - interval '10 seconds'"
    "   and not exists (select from queue_entry where suspension_id = $1::bigint)"};

/* False: the database is away. */
static AWAITS bool sweep_one(int64_t id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    unsigned resumed = SWEEP_BATCH;
    enum db_write written = DB_DONE;

    while (written == DB_DONE && resumed == SWEEP_BATCH) {
        struct db_unit *unit = db_unit_new(arena);
        struct params *p = db_unit_add(unit, &resume);

        params_int64(p, id);
        params_int32(p, SWEEP_BATCH);
        params_int64(db_unit_add(unit, &forget), id);
        written = queue_run_patiently(unit);
        if (written == DB_DONE && (resumed = rows_count(unit->steps[0].rows)) > 0)
            log_info("suspended mail goes on", log_id("suspension", id), log_int("count", resumed));
        arena_reset(arena);
    }
    arena_free(&arena);
    return written == DB_DONE;
}

AWAITS void suspension_sweep_for_ever(void *unused)
{
    (void)unused;
    for (;;) {
        struct arena *arena = arena_new(SIZE_MAX);
        struct params params;
        struct rows *rows = NULL;

        params_init(&params, arena);
        params_int32(&params, SWEEP_LIST);
        if (db_ready() && node_alive() && db_read(arena, &over, &params, &rows) == DB_FOUND)
            for (unsigned i = 0; i < rows_count(rows) && sweep_one(row_int64(rows, i, 0)); i++)
                ;
        arena_free(&arena);
        while (db_ready() && node_alive() && suspension_pass())
            ;
        task_sleep(SWEEP_MS);
    }
}
