#ifndef DAEMON_STATS_H
#define DAEMON_STATS_H
/*
 * stats: counters that workers show to the admin process, in memory shared by all.
 *
 * Each process writes its own slot (plain stores of aligned words: a reader may be a second late, never
 * wrong).  When one ends the master adds its counters to the departed, so that sums never go back.
 */
#include <stdint.h>

enum stat {
    STAT_SMTP_SESSIONS,
    STAT_SMTP_CONNECTIONS,
    STAT_SMTP_CONNECTIONS_REFUSED,
    STAT_SMTP_MESSAGES_REFUSED,
    STAT_SMTP_MESSAGES_DEFERRED,
    STAT_SMTP_RECIPIENTS_UNKNOWN,
    STAT_SMTP_RECIPIENTS_DENIED,
    STAT_SMTP_AUTH_SUCCEEDED,
    STAT_SMTP_AUTH_FAILED,
    STAT_AUTH_FAILURES,
    STAT_AUTH_REFUSED,
    STAT_AUTH_BANS,
    STAT_IMAP_SESSIONS,
    STAT_POP3_SESSIONS,
    STAT_TASKS_BUSY,
    STAT_TASKS_QUEUED,
    STAT_MESSAGES_ACCEPTED,
    STAT_RECIPIENTS_ACCEPTED,
    STAT_BYTES_ACCEPTED,
    STAT_ACCEPT_BATCHES,
    STAT_DELIVERED,
    STAT_DEFERRED,
    STAT_BOUNCED,
    STAT_DELIVERIES_ACTIVE,
    STAT_OUTAGES_RUN,
    STAT_PROBES,
    STAT_PROBES_TOLD,
    STAT_PROBES_FAILED,
    STAT_DB_UNITS,
    STAT_DB_FAILED,
    STAT_DB_UNCERTAIN,
    STAT_DB_RECONNECTS,
    STAT_DB_CONNECTED,
    STAT_CACHE_HITS,
    STAT_CACHE_MISSES,
    STAT_CACHE_DROPS,
    STAT_CACHE_BYTES,
    STAT_WORKERS_READY,
    STAT_CONNECTIONS_REFUSED, /* enum server_refusal */
    STAT_CONNECTIONS_REFUSED_LAST = STAT_CONNECTIONS_REFUSED + 5,
    STAT_SMTP_REFUSED, /* enum smtp_refused */
    STAT_SMTP_REFUSED_LAST = STAT_SMTP_REFUSED + 8,
    STAT_DEFERRALS, /* enum reply_class, from the first that is one */
    STAT_DEFERRALS_LAST = STAT_DEFERRALS + 14,
    STAT_BOUNCES,
    STAT_BOUNCES_LAST = STAT_BOUNCES + 14,
    STAT_SMTP_TARPITTED,
    STAT_DNS_LISTS_ASKED,
    STAT_DNS_LISTS_FAILED,
    STAT_ATTEMPTS,
    STAT_NEXT_HOP_CONNECTIONS,
    STAT_TLS_REPORTS,
    STAT_TLS_REPORTS_FAILED,
    STAT_HEALTH_PROBES,
    STAT_HEALTH_PROBES_FAILED,
    STAT_HEALTH_CHANGES,
    STAT_BREAKERS_OPENED,
    STAT_WEBHOOKS,
    STAT_WEBHOOKS_FAILED,
    STAT_WEBHOOKS_GIVEN_UP,
    STATS,
};

#define STATS_SLOTS 512

void stats_init(void);         /* in the master, before forking */
void stats_use(unsigned slot); /* in a worker */
void stats_set(enum stat stat, uint64_t value);
void stats_clients(void);         /* in a worker: what clients were refused for; stats_clients.c */
void stats_continuity(void);      /* the same: health of primaries, and webhooks; stats_continuity.c */
void stats_depart(unsigned slot); /* in the master, after a process ended */
void stats_restarted(void);       /* in the master: a process crashed and will be replaced */
char *stats_exposition(void);     /* malloc'ed, for /metrics */

#endif
