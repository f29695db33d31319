#ifndef DAEMON_RUNNER_BOUNCE_H
#define DAEMON_RUNNER_BOUNCE_H
/*
 * runner_bounce: what senders are told, and the end of those that are told of.
 */
#include "daemon/runner_memory.h"
#include "relay/notice.h"

/* Entries of one message, in nobody's list: tells the sender, then ends them. */
AWAITS void runner_bounce_all(struct arena *arena, struct runner_entry **entries, unsigned count, struct slice status,
                              struct slice diagnostic);
/* The same, with what is to be told of each. */
AWAITS void runner_bounce_told(struct arena *arena, struct runner_entry **entries, const struct dsn_recipient *reasons,
                               unsigned count);
/* The same of one message's entries whose lifetime is over, with what the last attempt was told. */
AWAITS void runner_bounce_expired(struct arena *arena, struct runner_entry **entries, unsigned count);
/* Into reasons: the last attempt of each.  failed: it ends now, and its status stays. */
AWAITS void runner_last_attempts(struct arena *arena, struct runner_entry *const *entries,
                                 struct dsn_recipient *reasons, unsigned count, bool failed);

/*
 * Tells the sender of one message of these recipients, as far as he wants to hear of it; reasons without the original
 * recipient.  True: it is committed, or there is nobody to tell.  False: try again later.
 */
AWAITS bool runner_tell(enum dsn_action action, struct runner_entry *const *entries,
                        const struct dsn_recipient *reasons, unsigned count) __attribute__((warn_unused_result));

#endif
