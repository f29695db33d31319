/*
 * queue_lease: what a worker has in memory is leased to it; here leases are extended, and end.
 *
 * A lease ends by a report (queue_report.c), or untried: its worker gives it back, its time is over (whoever holds the
 * cell takes it back), or its worker is known to be dead.  An entry that waits again is found through its destination's
 * row, which is made for it; should that fail, maintenance makes what is missing.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/id.h"
#include "storage/db.h"
#include "storage/queue.h"
#include "storage/queue_internal.h"

static const struct db_statement renew = {
    "queue_renew",
    "update queue_entry q set lease_until = now() + $4::integer * interval '1 ms'"
    "  from " QUEUE_LIST("$1::smallint[], $2::bigint[]",
                         "cell, id") " where " QUEUE_ENTRY_IS " and " QUEUE_ENTRY_OF("$3::smallint") " returning q.id"};
static const struct db_statement reclaim = {
    "queue_reclaim",
    "update queue_entry set worker = null, lease_until = null"
    " where cell = any($1::smallint[]) and worker is not null and lease_until < now() returning cell, destination"};
static const struct db_statement bury = {
    "queue_bury",
    "update queue_entry set worker = null, lease_until = null"
    " where worker = $1::smallint and exists (select from worker where number = $1::smallint and node = $2::text"
    "   and pid = $3::integer and started_at = $4::timestamptz) returning cell, destination"};
/* What a reply had put off was due when it was claimed: its time is over, and it has its place again, as in report_back. */
#define PLACE                                                                                                          \
    " case when q.last_reply like '4%' and q.last_reply not like '421%' then least(q.due_at, " QUEUE_ACCEPTED(         \
        "q") ") else q.due_at end"
static const struct db_statement release = {
    "queue_release",
    "update queue_entry q set worker = null, lease_until = null, due_at = " PLACE
    "  from " QUEUE_LIST("$1::smallint[], $2::bigint[]", "cell, id") " where " QUEUE_ENTRY_IS " and " QUEUE_ENTRY_OF(
        "$3::smallint") " returning q.cell, q.destination"};
static const struct db_statement destination_ensure = {
    "destination_ensure",
    "insert into destination (cell, key, due_at)"
    " select distinct u.cell, u.key, now() from unnest($1::smallint[], $2::text[]) u (cell, key)"
    "  order by 1, 2 on conflict (cell, key) do update set due_at = least(destination.due_at, excluded.due_at)"
    "  where destination.failures = 0"};

static int by_cell(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    unsigned cx = id_cell(x), cy = id_cell(y);

    return cx != cy ? (cx < cy ? -1 : 1) : x < y ? -1 : x > y;
}

/*
 * The entries as two parameters, in the order in which every transaction locks them: a lease that is renewed and a
 * report about the same entries would otherwise wait for each other until the database ends one of them, a second later.
 */
static void add_entries(struct params *p, const int64_t *entry_ids, unsigned count)
{
    int64_t *ids = arena_array(p->arena, count, sizeof *ids);
    int16_t *cells = arena_array(p->arena, count, sizeof *cells);

    for (unsigned i = 0; i < count; i++)
        ids[i] = entry_ids[i];
    if (count)
        qsort(ids, count, sizeof *ids, by_cell);
    for (unsigned i = 0; i < count; i++)
        cells[i] = (int16_t)id_cell(ids[i]);
    params_int16s(p, cells, count);
    params_int64s(p, ids, count);
}

enum db_write queue_renew(int64_t *entry_ids, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &renew);
    enum db_write written;

    add_entries(p, entry_ids, *count);
    params_int16(p, (int16_t)id_worker());
    params_int32(p, QUEUE_LEASE_MS);
    written = queue_run_patiently(unit);
    if (written == DB_DONE) {
        assert(rows_count(unit->steps[0].rows) <= *count);
        *count = rows_count(unit->steps[0].rows);
        for (unsigned i = 0; i < *count; i++)
            entry_ids[i] = row_int64(unit->steps[0].rows, i, 0);
    }
    arena_free(&arena);
    return written;
}

/* rows: (cell, destination) of entries that wait again.  Should it fail, maintenance makes the missing destinations. */
static AWAITS enum db_write ensure_destinations(struct arena *arena, const struct rows *rows)
{
    unsigned count = rows_count(rows);
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    struct slice *keys = arena_array(arena, count, sizeof *keys);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &destination_ensure);

    for (unsigned i = 0; i < count; i++) {
        cells[i] = (int16_t)row_int64(rows, i, 0);
        keys[i] = row_text(rows, i, 1);
    }
    params_int16s(p, cells, count);
    params_texts(p, keys, count);
    return queue_run_patiently(unit);
}

enum db_write queue_reclaim(const int16_t *cells, unsigned cell_count, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    *count = 0;
    params_int16s(db_unit_add(unit, &reclaim), cells, cell_count);
    written = queue_run_patiently(unit);
    if (written == DB_DONE && (*count = rows_count(unit->steps[0].rows)) > 0)
        written = ensure_destinations(arena, unit->steps[0].rows);
    arena_free(&arena);
    return written;
}

enum db_write queue_bury(const char *node, struct node_identity dead, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &bury);
    enum db_write written;

    params_int16(p, (int16_t)dead.number);
    params_text(p, slice_str(node));
    params_int32(p, dead.pid);
    params_time(p, dead.started_ms);
    *count = 0;
    written = queue_run_patiently(unit);
    if (written == DB_DONE && (*count = rows_count(unit->steps[0].rows)) > 0)
        written = ensure_destinations(arena, unit->steps[0].rows);
    arena_free(&arena);
    return written;
}

enum db_write queue_release(const int64_t *entry_ids, unsigned count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &release);
    enum db_write written;

    add_entries(p, entry_ids, count);
    params_int16(p, (int16_t)id_worker());
    written = queue_run_patiently(unit);
    if (written == DB_DONE && rows_count(unit->steps[0].rows) > 0)
        written = ensure_destinations(arena, unit->steps[0].rows);
    arena_free(&arena);
    return written;
}
