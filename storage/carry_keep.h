#ifndef STORAGE_CARRY_KEEP_H
#define STORAGE_CARRY_KEEP_H
/* carry_keep: copies of delivered mail go when their time is over.  Called by maintenance. */
#include <stdint.h>

#include "core/task.h"

AWAITS void carry_keep_run(const int16_t *cells, unsigned cell_count);

#endif
