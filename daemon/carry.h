#ifndef DAEMON_CARRY_H
#define DAEMON_CARRY_H
/*
 * carry: what accounts did during an outage is carried to their mailboxes at the primary.  A part of the delivery
 * runner, begun by runner_init(); the list of work is storage/carry.h.
 */

void carry_init(void);

#endif
