/*
 * outages_show: what waits for a primary that is away is put where its readers see it.
 *
 * In pages, each of which is a transaction; what comes meanwhile is shown by its own (storage/accept_order.c) or by the
 * next look, a tick later.
 */
#include "daemon/outages.h"

#define LOG_MODULE "outage"
#include "core/log.h"
#include "storage/outage.h"

#define BATCH 500

bool outages_show_waiting(int64_t domain_id)
{
    unsigned shown;

    do {
        if (outage_show(domain_id, BATCH, &shown) != DB_DONE) {
            log_warn("held mail could not be shown yet", log_id("domain", domain_id));
            return false;
        }
        if (shown)
            log_info("held mail shown", log_id("domain", domain_id), log_int("count", shown));
    } while (shown >= BATCH);
    return true;
}
