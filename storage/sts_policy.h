#ifndef STORAGE_STS_POLICY_H
#define STORAGE_STS_POLICY_H
/*
 * sts_policy: MTA-STS policies that were fetched (RFC 8461), for all workers of all nodes.
 *
 * A policy counts until it expires, whatever becomes of the record in DNS and of the server it came from: that is what it
 * is remembered for (section 5.1).  The fetching is daemon/runner_sts.c's; mode and patterns are words here.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define STS_POLICIES_MAX 100000 /* rows; what is more is not remembered */

struct sts_policy_row {
    struct slice record_id; /* {NULL,0}: there is none, or it has expired; so with the next three */
    struct slice mode, mx;  /* "enforce"; patterns, with blanks between */
    int64_t max_age;        /* seconds */
    bool stale;             /* time to fetch it again */
    struct slice tried_id;  /* fetching failed for that record a few minutes ago; {NULL,0}: not so */
    struct slice tried_why; /* in words */
};

AWAITS enum db_status sts_policy_find(struct arena *arena, struct slice domain, struct sts_policy_row *out)
    __attribute__((warn_unused_result));
/* It was fetched, for mail or (asked false) because it was time. */
AWAITS enum db_write sts_policy_put(struct arena *arena, struct slice domain, const struct sts_policy_row *row,
                                    bool asked) __attribute__((warn_unused_result));
/* It could not be fetched: not again for that record for five minutes. */
AWAITS enum db_write sts_policy_failed(struct arena *arena, struct slice domain, struct slice record_id,
                                       struct slice why) __attribute__((warn_unused_result));
/*
 * DONE: a domain whose policy is to be fetched again before it expires, which nobody else is told for five minutes; {NULL,0}:
 * none.  Policies for which no mail has asked for a month expire.
 */
AWAITS enum db_write sts_policy_due(struct arena *arena, struct slice *domain) __attribute__((warn_unused_result));
/* Forgets what has expired. */
AWAITS enum db_write sts_policy_forget(struct arena *arena) __attribute__((warn_unused_result));

#endif
