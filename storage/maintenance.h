#ifndef STORAGE_MAINTENANCE_H
#define STORAGE_MAINTENANCE_H
/*
 * maintenance: what nobody waits for: partitions of `event` ahead of time and expired ones dropped, bodies that nothing
 * refers to any more, chunks whose message never came, history past its time, destinations without mail and mail
 * without a destination.
 *
 * Called every few seconds by each worker for the cells it holds.  Each step is bounded and may fail without harm: what
 * was not done is done next time.
 */
#include <stdint.h>

#include "core/task.h"

AWAITS void maintenance_run(const int16_t *cells, unsigned cell_count, int64_t history_retention_ms);

#endif
