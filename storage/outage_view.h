#ifndef STORAGE_OUTAGE_VIEW_H
#define STORAGE_OUTAGE_VIEW_H
/* outage_view: outages as they are shown: what each was, and what it came to. */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define OUTAGE_VIEW_UNCOUNTED (-1)

struct outage_view {
    int64_t id, domain_id, customer_id; /* customer_id 0: not known */
    struct slice domain, reason, detection, end_reason;
    struct slice account; /* a drill of this one alone; {NULL,0}: it is the domain's */
    int64_t started_ms, ended_ms; /* ended: INT64_MIN while open */
    int64_t failing_ms, shown_ms, back_ms, counted_ms;
    /* Until counted_ms UNCOUNTED in a list, and of one that is too large to be counted while somebody waits.  What remains
       is told of one all the same, and of those that have ended.  Up to 100,000. */
    int64_t held, drained, remaining, read, answered, uncertain, lost;
    int64_t drained_since_back; /* of one that is open, shown alone, and drains; else 0 */
    int64_t carrying; /* messages that wait to be carried to its primary; UNCOUNTED in a list.  Up to 100,000 */
};
struct outage_view_filter {
    int64_t customer_id, domain_id; /* 0: any */
    bool open, closed;              /* only such */
};
/* Domains' alone, newest first, older than the outage `before` (0: from the newest). */
AWAITS enum db_status outage_view_list(struct arena *arena, const struct outage_view_filter *filter, int64_t before,
                                       unsigned limit, struct outage_view **out, unsigned *count)
    __attribute__((warn_unused_result));
/* With its counts, as they are now; that takes a few seconds at most. */
AWAITS enum db_status outage_view_get(struct arena *arena, int64_t id, struct outage_view *out)
    __attribute__((warn_unused_result));

#endif
