#ifndef PROTOCOLS_SMTP_SENT_H
#define PROTOCOLS_SMTP_SENT_H
/* smtp_sent: what an account sends while its domain has an outage goes into its mailbox Sent, too. */
#include <stdbool.h>

#include "core/slice.h"
#include "core/task.h"

struct accept_message;
struct smtp_session;

/*
 * Adds the copy behind the messages that were gathered, if there is to be one; another array then.  missing: the
 * fields that we have put before the header.  False: it could not be found out.
 */
AWAITS bool smtp_sent_add(struct smtp_session *session, struct slice missing, struct accept_message **messages,
                          unsigned *count) __attribute__((warn_unused_result));

#endif
