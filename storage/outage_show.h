#ifndef STORAGE_OUTAGE_SHOW_H
#define STORAGE_OUTAGE_SHOW_H
/*
 * outage_show: what waits for a domain whose primary is away is put where its readers see it, a page at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/task.h"
#include "storage/status.h"

struct outage_show_page {
    int64_t fresh_from; /* an entry's id, moved on: what came since has not been looked for; 0: at first */
    unsigned shown;     /* out: entries, this page's, and what came with it */
    bool more;          /* out: there is another page */
};

/*
 * Shows the oldest entries, waiting or leased, and before them what came just now with what waits for the same readers.
 * Costs one index probe when there is nothing to do.
 */
AWAITS enum db_write outage_show(int64_t domain_id, struct outage_show_page *page) __attribute__((warn_unused_result));

#endif
