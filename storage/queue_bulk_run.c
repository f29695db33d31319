/*
 * queue_bulk: the background.
 *
 * A batch is a page of the filter and one transaction: the row is locked and must still stand at the cursor that the
 * page began behind; the entries are locked, counted, and changed; the cursor moves.  So a process that dies has done
 * a batch or not, two processes that take the same batch do it once, and an answer that is lost is found in the row.
 * What the action does not fit, and what a worker has at the moment, is counted as skipped.
 *
 * A pause after each batch leaves the database to the mail.
 */
#define LOG_MODULE "queue"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/db.h"
#include "storage/node.h"
#include "storage/queue_bulk_row.h"
#include "storage/queue_internal.h"

#define BATCH 500
#define LOOK_MS 1000
#define PAUSE_MS 10

static const struct db_statement next_running = {"queue_bulk_running",
                                                 "select " QUEUE_BULK_COLUMNS
                                                 " from queue_action where state = 'running' order by id limit 1"};
static const struct db_statement stand = {
    "queue_bulk_stand",
    "select refuse('queue_action_moved') where not exists (select from queue_action where id = $1::bigint"
    "   and cursor_id = $2::bigint and state = 'running' for update)"};
static const struct db_statement lock = {"queue_bulk_lock",
                                         "select q.id" QUEUE_ENTRIES " order by q.cell, q.id for update of q"};
static const struct db_statement move = {
    "queue_bulk_move",
    "update queue_action set cursor_id = $5::bigint, done = done + t.n, skipped = skipped + cardinality($2::bigint[]) - t.n,"
    "   state = case when $6::boolean then 'done' else 'running' end, ended_at = case when $6::boolean then now() end"
    "  from (select count(*) as n" QUEUE_ENTRIES " and" QUEUE_ACT_APPLIES ") t"
    " where queue_action.id = $4::bigint"};

static AWAITS enum db_write run_batch(struct arena *arena, const struct queue_bulk *bulk,
                                      const struct queue_view_entry *entries, unsigned count, int64_t next)
{
    struct db_unit *unit = db_unit_new(arena);
    int16_t *cells = arena_array(arena, count + 1, sizeof *cells);
    int64_t *ids = arena_array(arena, count + 1, sizeof *ids);
    struct params *p;

    for (unsigned i = 0; i < count; i++) {
        cells[i] = (int16_t)id_cell(entries[i].id);
        ids[i] = entries[i].id;
    }
    p = db_unit_add(unit, &stand);
    params_int64(p, bulk->id);
    params_int64(p, bulk->cursor);
    p = db_unit_add(unit, &lock);
    params_int16s(p, cells, count);
    params_int64s(p, ids, count);
    p = db_unit_add(unit, &move);
    params_int16s(p, cells, count);
    params_int64s(p, ids, count);
    params_text(p, slice_str(queue_act_word(bulk->act.kind)));
    params_int64(p, bulk->id);
    params_int64(p, next ? next : bulk->cursor);
    params_bool(p, !next);
    if (count)
        queue_act_add(unit, &bulk->act, cells, ids, count);
    return db_unit_run(unit);
}

/* True: there may be more to do at once. */
static AWAITS bool run_some(struct arena *arena)
{
    struct queue_bulk bulk;
    struct queue_view_entry *entries = NULL;
    struct params none;
    struct rows *rows = NULL;
    unsigned count = 0;
    int64_t next = 0;

    params_init(&none, arena);
    if (db_read(arena, &next_running, &none, &rows) != DB_FOUND)
        return false;
    queue_bulk_read(rows, 0, &bulk);
    if (queue_filter_list(arena, &bulk.filter, bulk.cursor, BATCH, &entries, &count, &next) != DB_FOUND)
        return false;
    switch (run_batch(arena, &bulk, entries, count, next)) {
    case DB_DONE:
        if (!next)
            log_info("an action on the queue is done", log_id("action", bulk.id),
                     log_str("kind", queue_act_word(bulk.act.kind)));
        return true;
    case DB_REFUSED: /* another process was first, or it was stopped */
    case DB_CONFLICT: return true;
    case DB_UNDONE:
    case DB_UNCERTAIN: break;
    }
    return false;
}

AWAITS void queue_bulk_for_ever(void *unused)
{
    (void)unused;
    for (;;) {
        struct arena *arena = arena_new(SIZE_MAX);
        bool more = db_ready() && node_alive() && run_some(arena);

        arena_free(&arena);
        task_sleep(more ? PAUSE_MS : LOOK_MS);
    }
}
