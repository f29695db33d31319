/*
 * outage_age: the ends of such mail are moved ahead.
 *
 * expires_at is moved by AHEAD whenever it is nearer than NEAR, so whoever looks for what is over mostly finds it in
 * the future, and needs to know nothing of outages; that he asks the same (queue.c) is for what a worker gives back in
 * that very moment.  NEAR is longer than an entry is in a worker's memory, which compares by itself.
 *
 * Entries that somebody has locked are passed over: they come with the next look.
 *
 * Rejected: to add the outage's length when it ends, which is one statement about all that waits, in the moment in which
 * the drain wants the database; a time in each entry at which its age stopped, for every message of every relay domain.
 */
#include "storage/outage_age.h"

#include "storage/db.h"
#include "storage/queue_internal.h"

#define NEAR "10 minutes"
#define AHEAD "6 hours"

static const struct db_statement stop = {
    "outage_age_stop",
    "update queue_entry h set expires_at = now() + interval '" AHEAD "'"
    "  from (select q.cell, q.id from"
    "          (select e.id, e.cell, e.domain_id, e.shown from queue_entry e where e.cell = any($1::smallint[])"
    "              and e.expires_at <= now() + interval '" NEAR "'"
    "              and coalesce(e.worker, -1) = -1 and e.held_until is null and e.domain_id is not null"
    "            order by e.expires_at limit " OUTAGE_AGE_LOOKED ") u"
    "          join queue_entry q on " QUEUE_ENTRY_IS " and " QUEUE_ENTRY_NOBODYS " and q.held_until is null"
    "         where" OUTAGE_AGE_STOPS("u") " limit $2::integer for update of q skip locked) t where " QUEUE_SAME};

enum db_write outage_age_stop(const int16_t *cells, unsigned cell_count, unsigned limit, unsigned *moved)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &stop);
    enum db_write written;

    params_int16s(p, cells, cell_count);
    params_int32(p, (int32_t)limit);
    written = db_unit_run(unit);
    *moved = written == DB_DONE ? rows_affected(unit->steps[0].rows) : 0;
    arena_free(&arena);
    return written;
}
