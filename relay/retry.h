#ifndef RELAY_RETRY_H
#define RELAY_RETRY_H
/*
 * retry: when to try again, and what a reply of the next hop means.  Pure: time and chance are arguments.
 *
 * Attempts count failures in a row, from 1.  Random values are uniform over uint32_t.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

/*
 * Milliseconds to wait after the attempt-th failure: first, doubled each time, at most max; then between 80 % and 100
 * % of it by chance, so that what failed together is not tried together.  Never below 1.
 */
uint64_t retry_backoff(uint64_t first_ms, uint64_t max_ms, unsigned attempt, uint32_t random);
/* now + back-off, but not past expires_ms: the last try is made at the end of the lifetime. */
int64_t retry_due(int64_t now_ms, int64_t expires_ms, uint64_t first_ms, uint64_t max_ms, unsigned attempt,
                  uint32_t random);
/*
 * After a greylist's answer, of the first RETRY_GREYLIST_MAX attempts: from first_ms to a quarter more, since a
 * greylist counts from the first try and what comes early is put off once more; it does not double.  Later ones: as
 * retry_due().
 */
#define RETRY_GREYLIST_MAX 4
int64_t retry_due_greylisted(int64_t now_ms, int64_t expires_ms, uint64_t first_ms, uint64_t max_ms, unsigned attempt,
                             uint32_t random);
/* The lifetime is over: it bounces (RFC 5321 4.5.4.1). */
bool retry_expired(int64_t now_ms, int64_t expires_ms);

/* Where in the dialogue a reply came. */
enum retry_stage {
    RETRY_STAGE_GREETING,
    RETRY_STAGE_HELLO,
    RETRY_STAGE_MAIL,
    RETRY_STAGE_RECIPIENT,
    RETRY_STAGE_DATA, /* to the DATA command */
    RETRY_STAGE_END,  /* to the final dot */
};

enum retry_verdict {
    RETRY_VERDICT_ACCEPTED,
    RETRY_VERDICT_LATER,   /* this recipient, or all of this transaction: again after their own back-off */
    RETRY_VERDICT_REFUSED, /* for good: bounce */
    RETRY_VERDICT_AWAY,    /* the host does not serve now: another hop, or the destination waits */
};

/*
 * code: of the reply, 200-599; anything else is garbage and means LATER.  enhanced: RFC 3463 "5.1.1" or empty.
 * 354 to DATA is ACCEPTED.
 */
enum retry_verdict retry_classify(enum retry_stage stage, unsigned code, struct slice enhanced);

/*
 * The status for a DSN (RFC 3464 2.3.4): the remote's enhanced code when it fits the verdict's class (4 or 5), else
 * a general one for the stage.  Static or the slice given.
 */
struct slice retry_status(enum retry_stage stage, enum retry_verdict verdict, struct slice enhanced);

#endif
