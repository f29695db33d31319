/*
 * outages_show: what waits for a primary that is away is put where its readers see it.
 *
 * In pages, each of which is a transaction; what comes meanwhile is shown by its own (storage/accept_order.c) or by the
 * next look, a tick later.  A look takes some TURN_MS, then it is another outage's turn.
 */
#include "daemon/outages.h"

#define LOG_MODULE "outage"
#include "core/clock.h"
#include "core/log.h"
#include "storage/outage_show.h"

#define TURN_MS 100

enum outages_shown outages_show_waiting(int64_t domain_id, int64_t *fresh_from)
{
    uint64_t until = clock_steady_ms() + TURN_MS;
    struct outage_show_page page = {.fresh_from = *fresh_from};

    do {
        enum db_write written = outage_show(domain_id, &page);

        *fresh_from = page.fresh_from;
        if (written != DB_DONE) {
            log_warn("held mail could not be shown yet", log_id("domain", domain_id));
            return OUTAGES_SHOWN_LATER;
        }
        if (page.shown)
            log_info("held mail shown", log_id("domain", domain_id), log_int("count", page.shown));
    } while (page.more && clock_steady_ms() < until);
    return page.more ? OUTAGES_SHOWN_PART : OUTAGES_SHOWN_ALL;
}
