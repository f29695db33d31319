#ifndef STORAGE_OUTAGE_READ_H
#define STORAGE_OUTAGE_READ_H
/*
 * outage_read: what was read in an outage, and is gone.  An outage's report tells by the flags of copies how many messages
 * were read and answered; of a copy that goes before that is counted the flags are kept.  Inside storage, but for whoever
 * marks what he is about to remove (protocols/pop3_maildrop.c).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/task.h"

struct db_unit;

/* Is anything counted by what becomes of this mailbox's copies?  From the cache, so it costs little; false if it cannot be told. */
AWAITS bool outage_read_wanted(int64_t mailbox_id);
/* Before the step that removes these items of the mailbox, or all (uids NULL), in its transaction; only_deleted: as that step. */
void outage_read_add(struct db_unit *unit, int64_t mailbox_id, const int64_t *uids, unsigned count, bool only_deleted);

/* Is there an outage in the cell $1 whose report is not there? */
#define OUTAGE_READ_COUNTS                                                                                             \
    " (exists (select from outage o where o.cell = $1::smallint and o.ended_at is null)"                               \
    "  or exists (select from outage_report r where r.cell = $1::smallint and r.counted_to is not null))"

#endif
