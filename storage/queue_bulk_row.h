#ifndef STORAGE_QUEUE_BULK_ROW_H
#define STORAGE_QUEUE_BULK_ROW_H
/* queue_bulk_row: a row of queue_action, as the files of queue_bulk read it.  Nobody else includes this. */
#include "storage/queue_bulk.h"

#define QUEUE_BULK_COLUMNS                                                                                             \
    "id, kind, domain, sender, destination, coalesce(customer_id, 0), in_state, since, before, held_until, held_then," \
    " reason, to_destination, priority, state, matched, cursor_id, done, skipped, created_at, started_at, ended_at,"   \
    " coalesce(message_id, 0), held_by, in_quarantine, held_approval, quarantined, coalesce(account_id, 0)," \
    " coalesce(similar_id, 0)"

struct rows;
void queue_bulk_read(const struct rows *rows, unsigned row, struct queue_bulk *out);

#endif
