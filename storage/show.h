#ifndef STORAGE_SHOW_H
#define STORAGE_SHOW_H
/*
 * show: puts queue entries into their readers' INBOXes.  Inside storage only: outage.c shows what waits for a
 * domain, in order.
 */
#include <stdint.h>

#include "core/task.h"
#include "storage/status.h"

/*
 * Entries of one cell.  Those that are gone, shown already or nobody's are passed over; *shown counts the rest.
 * Repeats itself when it loses against another transaction.  Readers are told by hints.
 */
AWAITS enum db_write show_entries(unsigned cell, const int64_t *entry_ids, unsigned count, unsigned *shown)
    __attribute__((warn_unused_result));

#endif
