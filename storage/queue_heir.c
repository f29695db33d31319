/*
 * queue_heir: deliveries that a worker made and did not live to record.
 *
 * What is left of them is looked up by id, whoever it is leased to: a next hop has taken it, so it must not be sent
 * again.  An entry that is gone was recorded after all.  From there on it is an ordinary report.
 */
#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"
#include "storage/queue.h"
#include "storage/queue_internal.h"

static const struct db_statement heir_read = {
    "queue_heir_read",
    "select q.id, q.message_id, q.recipient, q.destination, u.reply" QUEUE_ENTRIES_WITH("$3::text[]", "reply")};

enum db_write queue_inherit(const int64_t *entry_ids, const struct slice *replies, unsigned count, unsigned *recorded)
{
    struct arena *arena = arena_new(SIZE_MAX);
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    struct queue_result *results;
    struct rows *rows = NULL;
    struct params p;
    enum db_write written = DB_DONE;

    *recorded = 0;
    for (unsigned i = 0; i < count; i++)
        cells[i] = (int16_t)id_cell(entry_ids[i]);
    params_init(&p, arena);
    params_int16s(&p, cells, count);
    params_int64s(&p, entry_ids, count);
    params_texts(&p, replies, count);
    switch (db_read(arena, &heir_read, &p, &rows)) {
    case DB_FOUND:
        *recorded = rows_count(rows);
        results = arena_array(arena, *recorded, sizeof *results);
        for (unsigned i = 0; i < *recorded; i++)
            results[i] = (struct queue_result){
                .entry_id = row_int64(rows, i, 0),
                .message_id = row_int64(rows, i, 1),
                .outcome = QUEUE_DELIVERED,
                .recipient = row_text(rows, i, 2),
                .destination = row_text(rows, i, 3),
                .reply = row_text(rows, i, 4),
                .copied = true,
            };
        written = queue_report(results, *recorded);
        break;
    case DB_NONE: break;
    case DB_FAILED: written = DB_UNDONE; break;
    }
    arena_free(&arena);
    return written;
}

static const struct db_statement doubt = {
    "queue_heir_doubt",
    "with doubted as (update queue_entry q set uncertain_at = $4::timestamptz, last_attempt_at = $4::timestamptz,"
    "                        last_reply = $5::text, attempts = q.attempts + 1"
    "  from " QUEUE_LIST(
        "$1::smallint[], $2::bigint[]",
        "cell, id") " where " QUEUE_ENTRY_IS " returning q.cell, q.id, q.message_id, q.recipient)"
                    " insert into event (cell, id, at, message_id, recipient, kind, detail, class)"
                    " select d.cell, e.event_id, $4::timestamptz, d.message_id, d.recipient, 'uncertain', $5::text, 'connection'"
                    "   from doubted d join unnest($1::smallint[], $2::bigint[], $3::bigint[]) e (cell, id, event_id)"
                    "     on d.cell = e.cell and d.id = e.id on conflict do nothing"};

enum db_write queue_doubt(const int64_t *entry_ids, unsigned count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    int64_t *events = arena_array(arena, count, sizeof *events);
    struct params *p = db_unit_add(unit, &doubt);
    enum db_write written;

    for (unsigned i = 0; i < count; i++) {
        cells[i] = (int16_t)id_cell(entry_ids[i]);
        events[i] = id_make(id_cell(entry_ids[i]));
    }
    params_int16s(p, cells, count);
    params_int64s(p, entry_ids, count);
    params_int64s(p, events, count);
    params_time(p, clock_now_ms());
    params_text(p, SLICE("the worker ended after the end of the message and before its reply; it may have been taken"));
    written = queue_run_patiently(unit);
    arena_free(&arena);
    return written;
}
