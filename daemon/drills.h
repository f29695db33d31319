#ifndef DAEMON_DRILLS_H
#define DAEMON_DRILLS_H
/* drills: pretend outages of single accounts; those of domains are outages like others (daemon/outages.h). */
#include "core/task.h"

/* Looks after the cells that this worker has, for ever. */
AWAITS void drills_for_ever(void *unused);

#endif
