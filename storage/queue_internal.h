#ifndef STORAGE_QUEUE_INTERNAL_H
#define STORAGE_QUEUE_INTERNAL_H
/* queue_internal: what the queue's files share.  Nobody else includes this. */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

/*
 * The entry q whose (cell, id) is u's, u being a QUEUE_LIST, and what is known of who has it.  Plans are made once, often
 * when the queue is empty, and the planner then takes any index that a condition fits for as good as the primary key, up
 * to a walk through all that waits, or all of a cell, for each entry; or it walks through an index once and compares
 * each row with the list.  So these conditions fit the primary key alone, which begins with the id, and the list looks
 * short: of a limit that it does not know the planner expects a tenth.  Nor has an index by time, message or domain a
 * cell in it, and lists ask for an order that one index has (queue_filter.c).
 */
#define QUEUE_LIST(arrays, columns) "(select * from unnest(" arrays ") l limit (select 1000000)) u (" columns ")"
#define QUEUE_ENTRY_IS "q.id = u.id and q.cell + 0 = u.cell"
/* Those of $1 cells and $2 ids, alone or with more arrays beside them; and h, which is t, one of such q. */
#define QUEUE_ENTRIES                                                                                                  \
    " from " QUEUE_LIST("$1::smallint[], $2::bigint[]", "cell, id") " join queue_entry q on " QUEUE_ENTRY_IS
#define QUEUE_ENTRIES_WITH(arrays, columns)                                                                            \
    " from " QUEUE_LIST("$1::smallint[], $2::bigint[], " arrays,                                                       \
                        "cell, id, " columns) " join queue_entry q on " QUEUE_ENTRY_IS
#define QUEUE_SAME "h.id = t.id and h.cell + 0 = t.cell + 0"
#define QUEUE_ENTRY_OF(worker) "coalesce(q.worker, -1) = " worker
#define QUEUE_ENTRY_NOBODYS QUEUE_ENTRY_OF("-1")

/* When q was accepted (core/id.h): the due_at of what is to go before all that came later. */
#define QUEUE_ACCEPTED(q) "timestamptz '2024-01-01 00:00Z' + (" q ".id >> 22) * interval '1 ms'"

struct db_unit;
struct db_statement;
struct params;
struct queue_entry;
/* Runs the unit, again while it loses against another transaction. */
AWAITS enum db_write queue_run_patiently(struct db_unit *unit) __attribute__((warn_unused_result));
/* Nobody else finds one of these destinations away, or back, or takes its probe, until the transaction is over. */
void queue_destination_lock(struct db_unit *unit, const struct slice *keys, unsigned count);
/* Which of the listed entries are still to be taken when the claim comes to them. */
enum queue_claiming {
    QUEUE_CLAIMING_WAITING,  /* not held */
    QUEUE_CLAIMING_REJECTED, /* held, and to be bounced */
    QUEUE_CLAIMING_LATE,     /* past deliver_by, held or not */
};
/* Claims what the statement lists, at most limit rows of (cell, id), whatever its destination's state. */
AWAITS enum db_status queue_claim_found(struct arena *arena, const struct db_statement *statement,
                                        const struct params *params, enum queue_claiming what, unsigned limit,
                                        struct queue_entry **out, unsigned *count) __attribute__((warn_unused_result));
/* The same for a statement of $1 cells, $2 limit. */
AWAITS enum db_status queue_claim_listed(struct arena *arena, const struct db_statement *statement,
                                         enum queue_claiming what, const int16_t *cells, unsigned cell_count,
                                         unsigned limit, struct queue_entry **out, unsigned *count)
    __attribute__((warn_unused_result));

#endif
