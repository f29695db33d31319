#ifndef STORAGE_QUEUE_FILTER_H
#define STORAGE_QUEUE_FILTER_H
/*
 * queue_filter: which queue entries an administrator means, and a list of them, page by page.  All that is given must
 * hold.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/queue_view.h"
#include "storage/status.h"

struct queue_filter {
    struct slice domain;      /* of the recipient, as name_domain() makes it (envelopes have A-labels); {NULL,0}: any */
    struct slice sender;      /* as name_key() makes it; "" is the null sender; {NULL,0}: any */
    struct slice destination; /* storage/queue.h has the keys; {NULL,0}: any */
    int64_t customer_id;      /* 0: any */
    int64_t message_id;       /* all recipients of one message; 0: any */
    int64_t account_id;       /* who submitted it; 0: anybody */
    int64_t group_id;         /* held messages that are alike (storage/similar.h); 0: any */
    struct slice held_by;     /* a word of hold_by_word(); {NULL,0}: any, held or not */
    int quarantine;           /* 1: only what is in quarantine, -1: only what is not, 0: any */
    int64_t since_ms;         /* accepted at or after; INT64_MIN: any time */
    int64_t before_ms;        /* accepted before; INT64_MIN: any time */
    enum {
        QUEUE_FILTER_ANY,
        QUEUE_FILTER_WAITING,
        QUEUE_FILTER_HELD,
        QUEUE_FILTER_ACTIVE,
        QUEUE_FILTER_SUSPENDED
    } state;
};

/*
 * In order of id, which is that of acceptance, after the entry `after` (0: from the first), at most limit.  *next:
 * where to go on, 0 at the end; a page may hold fewer than limit, even none, and still have a next (the work per call
 * is bounded, the filter may be rare).
 */
AWAITS enum db_status queue_filter_list(struct arena *arena, const struct queue_filter *filter, int64_t after,
                                        unsigned limit, struct queue_view_entry **out, unsigned *count, int64_t *next)
    __attribute__((warn_unused_result));

/* How many there are now: all of them are looked at. */
AWAITS enum db_status queue_filter_count(struct arena *arena, const struct queue_filter *filter, int64_t *count)
    __attribute__((warn_unused_result));

#endif
