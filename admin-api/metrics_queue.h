#ifndef ADMIN_API_METRICS_QUEUE_H
#define ADMIN_API_METRICS_QUEUE_H
/* metrics_queue: what /metrics tells of the queue. */
#include "core/arena.h"
#include "core/task.h"

/* "": it is not known.  In the arena. */
AWAITS const char *metrics_queue(struct arena *arena);

#endif
