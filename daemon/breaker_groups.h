#ifndef DAEMON_BREAKER_GROUPS_H
#define DAEMON_BREAKER_GROUPS_H
/* breaker_groups: groups what is held of the accounts in this worker's cells, until nothing is ungrouped. */
#include "core/task.h"

AWAITS void breaker_groups(void);

#endif
