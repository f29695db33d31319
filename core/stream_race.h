#ifndef CORE_STREAM_RACE_H
#define CORE_STREAM_RACE_H
/*
 * stream_race: connects to the first of several addresses that answers, as RFC 8305 has it.  For driven streams: only in
 * a task.
 */
#include "core/stream.h"

#define STREAM_RACE_MS 250
#define STREAM_RACE_MAX 8 /* more are not tried */

struct stream_target {
    const struct sockaddr *address; /* with its port */
    socklen_t length;
    const struct sockaddr *source; /* from here; NULL: as the system has it */
    socklen_t source_length;
    bool failed; /* afterwards: it was begun, and answered that it does not serve, or nothing in time */
};

/* Each has timeout_ms from its own beginning.  OK: *out is connected to targets[*winner].  Else: the last that failed. */
AWAITS enum stream_status stream_race(struct stream_target *targets, unsigned count, unsigned timeout_ms,
                                      struct stream **out, unsigned *winner);

#endif
