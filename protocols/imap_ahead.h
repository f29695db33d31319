#ifndef PROTOCOLS_IMAP_AHEAD_H
#define PROTOCOLS_IMAP_AHEAD_H
/*
 * imap_ahead: the messages of a FETCH or SEARCH, one after the other, with the bodies of those that come next read together.
 * At most 128 KiB of messages, or one of BODY_CHUNK, lie here.
 */
#include "protocols/imap_content.h"
#include "protocols/imap_session.h"

struct imap_ahead {
    struct arena *arena; /* NULL: nothing was read */
    int64_t *ids;
    struct slice *packed;
    unsigned count, next, given; /* given: how many of the count were asked for */
};

/*
 * The message at place `at` of `count`: indexes into s->items, or with NULL the items themselves.  Places ascend from call
 * to call; any may be left out.  NONE: the message is gone.
 */
AWAITS enum db_status imap_ahead_open(struct arena *arena, struct imap_ahead *ahead, const struct imap_selected *s,
                                      const uint32_t *indexes, uint32_t at, uint32_t count, struct imap_content *out)
    __attribute__((warn_unused_result));
void imap_ahead_drop(struct imap_ahead *ahead);

#endif
