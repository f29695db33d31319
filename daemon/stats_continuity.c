/* stats_continuity: what this worker has found out about primaries, and what it has told others. */
#include "daemon/health.h"
#include "daemon/stats.h"
#include "daemon/webhooks.h"
#include "relay/breaker_watch.h"

void stats_continuity(void)
{
    struct webhooks_counters webhooks;
    struct health_counters health;

    webhooks_counters(&webhooks);
    health_counters(&health);
    stats_set(STAT_HEALTH_PROBES, health.probes);
    stats_set(STAT_HEALTH_PROBES_FAILED, health.probes_failed);
    stats_set(STAT_HEALTH_CHANGES, health.changes);
    stats_set(STAT_BREAKERS_OPENED, breaker_watch_opened());
    stats_set(STAT_WEBHOOKS, webhooks.sent);
    stats_set(STAT_WEBHOOKS_FAILED, webhooks.failed);
    stats_set(STAT_WEBHOOKS_GIVEN_UP, webhooks.given_up);
}
