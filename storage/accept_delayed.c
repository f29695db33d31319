/*
 * accept_delayed: one statement for all delay notices of a batch, and one for those of mail that is late (RFC 2852).
 *
 * Notice and mark are one transaction, so a sender is told of a delay once, whatever breaks.  An entry that is gone by
 * then was delivered or bounced meanwhile; the notice was true when it was written, and goes all the same.
 */
#include "storage/accept_delayed.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/queue_internal.h"

static const struct db_statement mark_delayed = {
    "accept_delayed", "update queue_entry q set delay_at = 'infinity' from " QUEUE_LIST(
                          "$1::smallint[], $2::bigint[]", "cell, id") " where " QUEUE_ENTRY_IS};
static const struct db_statement mark_late = {
    "accept_late", "update queue_entry q set deliver_by = null from " QUEUE_LIST("$1::smallint[], $2::bigint[]",
                                                                                 "cell, id") " where " QUEUE_ENTRY_IS};

static void add(struct arena *arena, const struct db_statement *mark, const int64_t *ids, unsigned count,
                struct db_unit *unit)
{
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    struct params *params;

    if (!count)
        return;
    for (unsigned i = 0; i < count; i++)
        cells[i] = (int16_t)id_cell(ids[i]);
    params = db_unit_add(unit, mark);
    params_int16s(params, cells, count);
    params_int64s(params, ids, count);
}

void accept_delayed_add(struct arena *arena, struct accept_message *const *messages, unsigned count,
                        struct db_unit *unit)
{
    unsigned delayed_max = 0, late_max = 0, delayed_count = 0, late_count = 0;
    int64_t *delayed, *late;

    for (unsigned i = 0; i < count; i++) {
        delayed_max += messages[i]->delayed_count;
        late_max += messages[i]->late_count;
    }
    delayed = arena_array(arena, delayed_max, sizeof *delayed);
    late = arena_array(arena, late_max, sizeof *late);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < messages[i]->delayed_count; j++)
            delayed[delayed_count++] = messages[i]->delayed[j];
        for (unsigned j = 0; j < messages[i]->late_count; j++)
            late[late_count++] = messages[i]->late[j];
    }
    add(arena, &mark_delayed, delayed, delayed_count, unit);
    add(arena, &mark_late, late, late_count, unit);
}
