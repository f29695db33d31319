#ifndef STORAGE_OUTAGE_REPORT_H
#define STORAGE_OUTAGE_REPORT_H
/*
 * outage_report: what is to be done when an outage has ended: count what it came to, and list what its accounts sent
 * and made, and earlier copies that they changed, for being carried to the primary (carry.h).  In pages, each a short
 * transaction; whoever comes next goes on.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"
#include "storage/status.h"

struct outage_report {
    int64_t outage_id;
    bool counting;  /* its events are not all counted */
    bool sent;      /* there are sent copies to be listed */
    bool looking;   /* for what was made */
    bool kept;      /* what is here since an earlier outage is not all looked through */
    bool mailboxes; /* what mailboxes were made is not all listed */
    bool again;     /* it is time to look once more, for what was on its way */
    bool last;      /* that was done */
};
/* Those of these cells that something is to be done about now.  NONE: none. */
AWAITS enum db_status outage_report_list(struct arena *arena, const int16_t *cells, unsigned cell_count,
                                         struct outage_report **out, unsigned *count) __attribute__((warn_unused_result));
/* The next page of each thing.  *more: there may be another page.  UNDONE: something failed, and waits. */
AWAITS enum db_write outage_report_step(const struct outage_report *report, bool *more)
    __attribute__((warn_unused_result));
/* The first page of one that has just ended: mostly that is all of it. */
AWAITS enum db_write outage_report_begin(int64_t outage_id) __attribute__((warn_unused_result));

#endif
