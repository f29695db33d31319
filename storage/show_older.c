/*
 * show_older: what waits for certain readers is put into their INBOXes, before something newer is.
 *
 * UIDs are given in the order in which mail is filed.  Thousands of messages may wait when an outage opens, and take
 * seconds to be shown; who gets a new one meanwhile is not to wait for those of all others.  So his own come first, now,
 * and the new one behind them.
 *
 * The list is read without a lock; show_entries() passes over what another shows at the same time.  Both show a reader's
 * oldest entries first, so that their order holds whoever is quicker.
 *
 * The index queue_entry_unshown_account has only what is not shown: in an outage that is nearly nothing, and the
 * question costs one probe for each reader.  The conditions fit that index alone (storage/queue_internal.h).
 */
#include "storage/show_older.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/show.h"

#define BATCH 500

/* Entries, and in rows without one who is young. */
static const struct db_statement older = {
    "show_older",
    "with u as materialized (select distinct * from unnest($1::bigint[], $2::bigint[]) w (account_id, domain_id))"
    " (select q.account_id, q.id from u, lateral ("
    "   select q.account_id, q.id from queue_entry q"
    "    where (q.account_id, q.domain_id, q.id) > (u.account_id, u.domain_id, 0::bigint)"
    "      and (q.account_id, q.domain_id, q.id) < (u.account_id, u.domain_id, 9223372036854775807)"
    "      and not q.shown and q.account_id is not null and q.held_until is null"
    "    order by q.account_id, q.domain_id, q.id limit $3::integer) q order by q.id limit $4::integer)"
    " union all select a.id, null from account a"
    "  where a.id = any($1::bigint[]) and a.created_at > now() - interval '1 minute'"};

/* They are in the order of their ids, and an id begins with its time: those of different cells are mixed. */
static AWAITS enum db_write show(struct arena *arena, const int64_t *ids, unsigned count, unsigned *shown)
{
    int64_t *batch = arena_array(arena, BATCH, sizeof *batch);
    bool *done = arena_array(arena, count, sizeof *done);
    enum db_write written = DB_DONE;

    memset(done, 0, count * sizeof *done);
    for (unsigned i = 0; i < count && written == DB_DONE; i++) {
        unsigned n = 0, part = 0;

        for (unsigned j = i; j < count && n < BATCH; j++)
            if (!done[j] && id_cell(ids[j]) == id_cell(ids[i])) {
                done[j] = true;
                batch[n++] = ids[j];
            }
        if (n)
            written = show_entries(id_cell(ids[i]), batch, n, &part);
        *shown += part;
    }
    return written;
}

enum db_write show_older(struct arena *arena, struct show_reader *readers, unsigned count, unsigned *shown)
{
    int64_t *accounts = arena_array(arena, count, sizeof *accounts),
            *domains = arena_array(arena, count, sizeof *domains);
    struct params params;
    struct rows *rows = NULL;
    int64_t *ids;
    unsigned n = 0;

    *shown = 0;
    for (unsigned i = 0; i < count; i++) {
        accounts[i] = readers[i].account_id;
        domains[i] = readers[i].domain_id;
        readers[i].young = false;
    }
    params_init(&params, arena);
    params_int64s(&params, accounts, count);
    params_int64s(&params, domains, count);
    params_int32(&params, SHOW_OLDER_EACH);
    params_int32(&params, SHOW_OLDER_ALL);
    switch (db_read(arena, &older, &params, &rows)) {
    case DB_FOUND: break;
    case DB_NONE: return DB_DONE;
    case DB_FAILED: return DB_UNDONE;
    }
    ids = arena_array(arena, rows_count(rows), sizeof *ids);
    for (unsigned row = 0; row < rows_count(rows); row++)
        if (!row_is_null(rows, row, 1))
            ids[n++] = row_int64(rows, row, 1);
        else
            for (unsigned i = 0; i < count; i++)
                readers[i].young = readers[i].young || accounts[i] == row_int64(rows, row, 0);
    return show(arena, ids, n, shown);
}
