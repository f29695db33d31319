#ifndef STORAGE_QUEUE_INTERNAL_H
#define STORAGE_QUEUE_INTERNAL_H
/* queue_internal: what the queue's files share.  Nobody else includes this. */
#include "core/task.h"
#include "storage/status.h"

struct db_unit;
/* Runs the unit, again while it loses against another transaction. */
AWAITS enum db_write queue_run_patiently(struct db_unit *unit) __attribute__((warn_unused_result));

#endif
