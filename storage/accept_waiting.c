/*
 * accept_waiting: the destination of an entry that waits.
 *
 * Waiting entries are found through their destination's row (storage/queue.c).  When RCPT saw an outage that is over
 * by the end of data, that row may be idle, or gone, and the entry would lie until maintenance comes by.  So the row
 * is made if there is none, and is due now.
 *
 * The row is locked by that, and whoever is about to put it to rest (queue_settle_*) waits for us and looks again: it
 * sees the entry.  A destination that fails is left alone, and not locked: during an outage, when every message is
 * accepted waiting, batches do not wait for each other here, and what ends the outage makes the destination due.  Two
 * batches that lock the same two rows in different order are a deadlock, which one of them repeats (accept_batch.c);
 * rejected: locking in order by FOR UPDATE, which Citus does not have over several cells.
 */
#include "storage/accept_waiting.h"

#include "storage/db.h"

static const struct db_statement make = {
    "accept_waiting_make",
    "insert into destination (cell, key, due_at)"
    " select distinct cell, key, now() from unnest($1::smallint[], $2::text[]) u (cell, key) order by 1, 2"
    " on conflict (cell, key) do nothing"};
static const struct db_statement wake = {
    "accept_waiting_wake", "update destination d set due_at = least(d.due_at, now())"
                           "  from (select distinct cell, key from unnest($1::smallint[], $2::text[]) u (cell, key)) t"
                           " where d.cell = t.cell and d.key = t.key and d.failures = 0"};

/* A held one is found by its time; who releases it makes the row. */
static bool waits(const struct accept_recipient *r)
{
    return r->queue && r->waiting && !r->hold.until_ms;
}

void accept_waiting_add(struct arena *arena, struct accept_message *const *messages, unsigned count,
                        struct db_unit *unit)
{
    static const struct db_statement *const steps[] = {&make, &wake};
    unsigned all = 0, n = 0;

    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < messages[i]->recipient_count; j++)
            all += waits(&messages[i]->recipients[j]);
    if (!all)
        return;
    int16_t *cells = arena_array(arena, all, sizeof *cells);
    struct slice *keys = arena_array(arena, all, sizeof *keys);
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < messages[i]->recipient_count; j++) {
            const struct accept_recipient *r = &messages[i]->recipients[j];

            if (!waits(r))
                continue;
            cells[n] = (int16_t)messages[i]->cell;
            keys[n++] = r->destination;
        }
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct params *p = db_unit_add(unit, steps[i]);

        params_int16s(p, cells, n);
        params_texts(p, keys, n);
    }
}
