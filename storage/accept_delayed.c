/*
 * accept_delayed: one statement for all notices of a batch.
 *
 * Notice and mark are one transaction, so a sender is told of a delay once, whatever breaks.  An entry that is gone by then was
 * delivered or bounced meanwhile; the notice was true when it was written, and goes all the same.
 */
#include "storage/accept_delayed.h"

#include "core/id.h"
#include "storage/db.h"

static const struct db_statement mark = {
    "accept_delayed", "update queue_entry q set delay_at = 'infinity' from unnest($1::smallint[], $2::bigint[]) u (cell, id)"
                      " where q.cell = u.cell and q.id = u.id"};

void accept_delayed_add(struct arena *arena, struct accept_message *const *messages, unsigned count, struct db_unit *unit)
{
    unsigned all = 0, n = 0;

    for (unsigned i = 0; i < count; i++)
        all += messages[i]->delayed_count;
    if (!all)
        return;
    int16_t *cells = arena_array(arena, all, sizeof *cells);
    int64_t *ids = arena_array(arena, all, sizeof *ids);
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < messages[i]->delayed_count; j++, n++) {
            ids[n] = messages[i]->delayed[j];
            cells[n] = (int16_t)id_cell(ids[n]);
        }
    struct params *params = db_unit_add(unit, &mark);
    params_int16s(params, cells, n);
    params_int64s(params, ids, n);
}
