#ifndef DAEMON_BREAKER_NOTICE_H
#define DAEMON_BREAKER_NOTICE_H
/* breaker_notice: the mail by which an account's owner, and whom its policy names, hear that it is held. */
#include <stdbool.h>

#include "core/task.h"
#include "storage/breaker.h"

/* Once for each opening, whoever tries how often.  False: not yet. */
AWAITS bool breaker_notice(const struct breaker_work *work) __attribute__((warn_unused_result));

#endif
