#ifndef DAEMON_BOUNCE_H
#define DAEMON_BOUNCE_H
/*
 * bounce: tells a sender that his message could not be delivered (RFC 3464), and commits that before the queue entries
 * are reported as bounced.
 */
#include <stdbool.h>

#include "core/task.h"
#include "relay/dsn.h"

struct runner_message;

/*
 * One DSN for these recipients of one message.  True: it is committed, or none is due (the message came from the null
 * sender, or nobody can take it); the entries may be reported as bounced.  False: try again later.
 */
AWAITS bool bounce_send(struct runner_message *message, const struct dsn_recipient *recipients, unsigned count)
    __attribute__((warn_unused_result));

#endif
