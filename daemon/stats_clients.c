/*
 * stats_clients: what strangers were refused for, into the shared counters.
 *
 * Reasons are one metric with a label; each reason is a counter of its own, in the order of the enum that it is counted
 * by.
 */
#include "daemon/stats.h"

#include "protocols/server.h"
#include "protocols/smtp_counters.h"
#include "relay/screen_dns.h"

_Static_assert(STAT_CONNECTIONS_REFUSED_LAST - STAT_CONNECTIONS_REFUSED + 1 == SERVER_REFUSALS, "one for each reason");
_Static_assert(STAT_SMTP_REFUSED_LAST - STAT_SMTP_REFUSED + 1 == SMTP_REFUSED, "one for each reason");

void stats_clients(void)
{
    for (unsigned i = 0; i < SERVER_REFUSALS; i++)
        stats_set((enum stat)(STAT_CONNECTIONS_REFUSED + i), server_refusals[i]);
    for (unsigned i = 0; i < SMTP_REFUSED; i++)
        stats_set((enum stat)(STAT_SMTP_REFUSED + i), smtp_counters.refused[i]);
    stats_set(STAT_SMTP_TARPITTED, smtp_counters.tarpitted);
    stats_set(STAT_DNS_LISTS_ASKED, screen_dns_counters.asked);
    stats_set(STAT_DNS_LISTS_FAILED, screen_dns_counters.failed);
}
