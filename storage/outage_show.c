/*
 * outage_show: what waits for a domain whose primary is away is put where its readers see it.
 *
 * Oldest first, PAGE entries in a transaction.  New mail of an outage is filed by who accepts it (storage/accept_order.c),
 * but for some: what was accepted in the instant the outage opened, and what comes for an account that has just been
 * made.  That is not to wait for 50,000 older ones of other readers.  So where there is more than a page, what came since
 * the last look goes first, together with what waits for its readers; and where more waits for one of them than
 * show_older() takes, before the rest.  What came before the outage is in its turn.
 *
 * What came since is found by the domain's index, where what is shown already stands, too: hence a place that moves on.
 * Ids grow with time, but a transaction may end a little after one with a later id: it is OVERLAP_MS behind.
 */
#include "storage/outage_show.h"

#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"
#include "storage/show.h"
#include "storage/show_older.h"

#define PAGE 500
#define OVERLAP_MS 2000

static const struct db_statement unshown = {
    "outage_unshown", "select id from queue_entry where cell = $1::smallint and domain_id = $2::bigint and not shown"
                      "   and account_id is not null and held_until is null order by id limit $3::integer"};
static const struct db_statement fresh = {
    "outage_fresh",
    "select id, account_id from queue_entry"
    " where (domain_id, id) > ($2::bigint, greatest($4::bigint, (select ((extract(epoch from o.started_at) * 1000)::bigint"
    "         - 1704067200000) << 22 from outage o where o.cell = $1::smallint and o.domain_id = $2::bigint" /* core/id.h */
    "           and o.ended_at is null)))" /* storage/queue_internal.h */
    "   and (domain_id, id) < ($2::bigint, 9223372036854775807) and cell + 0 = $1::smallint and domain_id is not null"
    "   and not shown and account_id is not null and held_until is null"
    " order by domain_id, id limit $3::integer"};

static AWAITS enum db_status list(struct arena *arena, const struct db_statement *statement, int64_t domain_id,
                                  int64_t from, struct rows **rows, int64_t **ids)
{
    struct params params;
    enum db_status status;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(domain_id));
    params_int64(&params, domain_id);
    params_int32(&params, PAGE);
    if (statement == &fresh)
        params_int64(&params, from);
    status = db_read(arena, statement, &params, rows);
    if (status != DB_FOUND)
        return status;
    *ids = arena_array(arena, rows_count(*rows), sizeof **ids);
    for (unsigned i = 0; i < rows_count(*rows); i++)
        (*ids)[i] = row_int64(*rows, i, 0);
    return DB_FOUND;
}

static AWAITS enum db_write show_fresh(struct arena *arena, int64_t domain_id, struct outage_show_page *page)
{
    int64_t next = id_at(clock_now_ms() - OVERLAP_MS);
    struct show_reader *readers;
    struct rows *rows = NULL;
    enum db_write written;
    int64_t *ids = NULL;
    unsigned count;

    switch (list(arena, &fresh, domain_id, page->fresh_from, &rows, &ids)) {
    case DB_FOUND: break;
    case DB_NONE: page->fresh_from = next; return DB_DONE;
    case DB_FAILED: return DB_UNDONE;
    }
    count = rows_count(rows);
    readers = arena_array(arena, count, sizeof *readers);
    for (unsigned i = 0; i < count; i++)
        readers[i] = (struct show_reader){.account_id = row_int64(rows, i, 1), .domain_id = domain_id};
    written = show_older(arena, readers, count, &page->shown);
    if (written == DB_DONE) {
        unsigned rest;

        written = show_entries(id_cell(domain_id), ids, count, &rest);
        page->shown += rest;
    }
    if (written == DB_DONE && count < PAGE)
        page->fresh_from = next;
    return written;
}

enum db_write outage_show(int64_t domain_id, struct outage_show_page *page)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_UNDONE;
    struct rows *rows = NULL;
    int64_t *ids = NULL;
    unsigned shown = 0;

    page->shown = 0;
    page->more = false;
    switch (list(arena, &unshown, domain_id, 0, &rows, &ids)) {
    case DB_FOUND:
        page->more = rows_count(rows) == PAGE;
        written = page->more ? show_fresh(arena, domain_id, page) : DB_DONE;
        if (written == DB_DONE)
            written = show_entries(id_cell(domain_id), ids, rows_count(rows), &shown);
        page->shown += shown;
        break;
    case DB_NONE: written = DB_DONE; break;
    case DB_FAILED: break;
    }
    arena_free(&arena);
    return written;
}
