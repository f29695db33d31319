#ifndef DAEMON_LOGGING_H
#define DAEMON_LOGGING_H
/* logging: checks and applies [daemon] log, log_level, log_levels. */
#include <stdbool.h>
#include <stddef.h>

#include "daemon/config.h"

/* Are these "MODULE=LEVEL ...", and not more than the log can keep?  The reason in error if not. */
bool logging_check(const char *log_levels, char *error, size_t error_size) __attribute__((warn_unused_result));
void logging_apply(const struct config *config);

#endif
