#ifndef STORAGE_MAINTENANCE_H
#define STORAGE_MAINTENANCE_H
/*
 * maintenance: what nobody waits for: partitions of `event` and `decision` ahead of time and expired ones dropped,
 * bodies that nothing refers to any more, chunks whose message never came, history past its time, destinations without
 * mail and mail without a destination.
 *
 * Called every few seconds by each worker for the cells it holds.  Each step is bounded and may fail without harm: what
 * was not done is done next time.
 */
#include <stdint.h>

#include "core/task.h"

/*
 * For transactions that take a reference to a message away: the end of the insert into message_release, in order of
 * (cell, message_id).  A row that is there already is locked, so that a purge that is under way is seen or sees.
 */
#define RELEASE_LISTED " on conflict (cell, message_id) do update set cell = excluded.cell where false"

AWAITS void maintenance_run(const int16_t *cells, unsigned cell_count, int64_t history_retention_ms);

#endif
