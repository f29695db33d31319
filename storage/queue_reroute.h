#ifndef STORAGE_QUEUE_REROUTE_H
#define STORAGE_QUEUE_REROUTE_H
/*
 * queue_reroute: what waits for a route that was deleted goes another way: by the rule that is for it now, else by the
 * default route, else by MX.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/task.h"
#include "storage/status.h"

/*
 * Some of what one cell has for it, whoever has it in memory: he gives it back (queue_release()).  Again, until none is
 * left.
 */
AWAITS enum db_write queue_reroute(unsigned cell, int64_t route_id, bool default_route)
    __attribute__((warn_unused_result));

#endif
