#ifndef DAEMON_LOGGING_H
#define DAEMON_LOGGING_H
/* logging: applies [daemon] log, log_level, log_levels. */
#include "daemon/config.h"

void logging_apply(const struct config *config);

#endif
