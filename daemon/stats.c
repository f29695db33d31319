/*
 * stats: counters in shared memory, and their Prometheus text.
 *
 * Plain arrays in one anonymous shared mapping, made before the first fork.  No locks: a slot has one
 * writer, words are written whole.
 */
#include "daemon/stats.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/log.h"

static const struct {
    const char *name;
    bool counter;
    const char *help;
} table[STATS] = {
#define REFUSED(first, nth, name, reason, help) [(first) + (nth)] = {name "{reason=\"" reason "\"}", true, help}
#define CONNECTION(nth, reason)                                                                                        \
    REFUSED(STAT_CONNECTIONS_REFUSED, nth, "posthouse_connections_refused_total", reason,                              \
            "Connections that were not served, of all protocols.")
#define CLIENT(nth, reason)                                                                                            \
    REFUSED(STAT_SMTP_REFUSED, nth, "posthouse_smtp_refused_total", reason,                                            \
            "What strangers were refused, or put off for.")
    CONNECTION(0, "shutdown"),
    CONNECTION(1, "sessions"),
    CONNECTION(2, "address-sessions"),
    CONNECTION(3, "network-sessions"),
    CONNECTION(4, "address-rate"),
    CONNECTION(5, "network-rate"),
    CLIENT(0, "client-rate"),
    CLIENT(1, "dns-list"),
    CLIENT(2, "reverse-name"),
    CLIENT(3, "score"),
    CLIENT(4, "greylist"),
    CLIENT(5, "early-talker"),
    CLIENT(6, "refused-recipients"),
    CLIENT(7, "errors"),
    CLIENT(8, "null-mx"),
#define CLASS(first, nth, name, class, help) [(first) + (nth)] = {name "{class=\"" class "\"}", true, help}
#define DEFERRAL(nth, class)                                                                                           \
    CLASS(STAT_DEFERRALS, nth, "posthouse_deferrals_total", class,                                                     \
          "Recipients put off, by what the next hop said, or why it was not asked.")
#define BOUNCE(nth, class)                                                                                             \
    CLASS(STAT_BOUNCES, nth, "posthouse_bounces_total", class,                                                         \
          "Recipients given up, by what the next hop said, or why it was not asked.")
    DEFERRAL(0, "unknown-user"),
    DEFERRAL(1, "full"),
    DEFERRAL(2, "too-large"),
    DEFERRAL(3, "block-list"),
    DEFERRAL(4, "greylist"),
    DEFERRAL(5, "policy"),
    DEFERRAL(6, "protocol"),
    DEFERRAL(7, "temporary"),
    DEFERRAL(8, "refused"),
    DEFERRAL(9, "connection"),
    DEFERRAL(10, "tls"),
    DEFERRAL(11, "routing"),
    DEFERRAL(12, "credential"),
    DEFERRAL(13, "expired"),
    DEFERRAL(14, "local"),
    BOUNCE(0, "unknown-user"),
    BOUNCE(1, "full"),
    BOUNCE(2, "too-large"),
    BOUNCE(3, "block-list"),
    BOUNCE(4, "greylist"),
    BOUNCE(5, "policy"),
    BOUNCE(6, "protocol"),
    BOUNCE(7, "temporary"),
    BOUNCE(8, "refused"),
    BOUNCE(9, "connection"),
    BOUNCE(10, "tls"),
    BOUNCE(11, "routing"),
    BOUNCE(12, "credential"),
    BOUNCE(13, "expired"),
    BOUNCE(14, "local"),
    [STAT_ATTEMPTS] = {"posthouse_delivery_attempts_total", true, "Recipients that were offered to a next hop."},
    [STAT_NEXT_HOP_CONNECTIONS] = {"posthouse_next_hop_connections_total", true,
                                   "Connections to next hops that were tried."},
    [STAT_TLS_REPORTS] = {"posthouse_tls_reports_total", true, "TLS reports that were sent to other domains."},
    [STAT_TLS_REPORTS_FAILED] = {"posthouse_tls_reports_failed_total", true, "TLS reports that nobody took for a day."},
    [STAT_HEALTH_PROBES] = {"posthouse_health_probes_total", true, "Times that a primary was looked at, without mail."},
    [STAT_HEALTH_PROBES_FAILED] = {"posthouse_health_probes_failed_total", true, "Of these that reached nobody."},
    [STAT_HEALTH_CHANGES] = {"posthouse_health_changes_total", true, "Changes of the state of a primary."},
    [STAT_WEBHOOKS] = {"posthouse_webhooks_sent_total", true, "Events that webhooks were told."},
    [STAT_WEBHOOKS_FAILED] = {"posthouse_webhooks_failed_total", true, "Tries to tell one that failed."},
    [STAT_WEBHOOKS_GIVEN_UP] = {"posthouse_webhooks_given_up_total", true, "Events that nobody took in time."},
    [STAT_BREAKERS_OPENED] = {"posthouse_breakers_opened_total", true,
                              "Accounts whose mail is held, as their sending has left its pattern."},
    [STAT_SMTP_TARPITTED] = {"posthouse_smtp_tarpitted_total", true, "Refusals whose answer was held back."},
    [STAT_DNS_LISTS_ASKED] = {"posthouse_dns_lists_asked_total", true, "Look-ups of clients in DNS lists."},
    [STAT_DNS_LISTS_FAILED] = {"posthouse_dns_lists_failed_total", true, "Of these without an answer."},
    [STAT_SMTP_SESSIONS] = {"posthouse_smtp_sessions", false, "SMTP and submission sessions open."},
    [STAT_SMTP_CONNECTIONS] = {"posthouse_smtp_connections_total", true, "SMTP connections that became sessions."},
    [STAT_SMTP_CONNECTIONS_REFUSED] = {"posthouse_smtp_connections_refused_total", true,
                                       "SMTP connections over a limit."},
    [STAT_SMTP_MESSAGES_REFUSED] = {"posthouse_smtp_messages_refused_total", true, "Messages answered with 5xx."},
    [STAT_SMTP_MESSAGES_DEFERRED] = {"posthouse_smtp_messages_deferred_total", true, "Messages answered with 4xx."},
    [STAT_SMTP_RECIPIENTS_UNKNOWN] = {"posthouse_smtp_recipients_unknown_total", true,
                                      "RCPTs for users that do not exist."},
    [STAT_SMTP_RECIPIENTS_DENIED] = {"posthouse_smtp_recipients_denied_total", true, "RCPTs refused by permission."},
    [STAT_SMTP_AUTH_SUCCEEDED] = {"posthouse_smtp_auth_succeeded_total", true,
                                  "Authentications by SMTP that succeeded."},
    [STAT_SMTP_AUTH_FAILED] = {"posthouse_smtp_auth_failed_total", true, "Authentications by SMTP that failed."},
    [STAT_AUTH_FAILURES] = {"posthouse_auth_failures_total", true, "Logins that failed, by any protocol."},
    [STAT_AUTH_REFUSED] = {"posthouse_auth_banned_total", true, "Logins that a ban refused."},
    [STAT_AUTH_BANS] = {"posthouse_auth_bans_total", true, "Bans that began."},
    [STAT_IMAP_SESSIONS] = {"posthouse_imap_sessions", false, "IMAP sessions open."},
    [STAT_POP3_SESSIONS] = {"posthouse_pop3_sessions", false, "POP3 sessions open."},
    [STAT_TASKS_BUSY] = {"posthouse_tasks_busy", false, "Commands at work."},
    [STAT_TASKS_QUEUED] = {"posthouse_tasks_queued", false, "Commands waiting for a stack."},
    [STAT_MESSAGES_ACCEPTED] = {"posthouse_messages_accepted_total", true, "Messages made durable."},
    [STAT_RECIPIENTS_ACCEPTED] = {"posthouse_recipients_accepted_total", true, "Recipients of those."},
    [STAT_BYTES_ACCEPTED] = {"posthouse_bytes_accepted_total", true, "Bytes of those."},
    [STAT_ACCEPT_BATCHES] = {"posthouse_accept_batches_total", true, "Transactions they took."},
    [STAT_DELIVERED] = {"posthouse_delivered_total", true, "Recipients delivered to a next hop."},
    [STAT_DEFERRED] = {"posthouse_deferred_total", true, "Recipients put off by a next hop."},
    [STAT_BOUNCED] = {"posthouse_bounced_total", true, "Recipients given up."},
    [STAT_DELIVERIES_ACTIVE] = {"posthouse_deliveries_active", false, "Connections to next hops at work."},
    [STAT_OUTAGES_RUN] = {"posthouse_outages_open", false, "Outages that are open."},
    [STAT_PROBES] = {"posthouse_recipient_probes_total", true, "Questions to primaries whether a recipient exists."},
    [STAT_PROBES_TOLD] = {"posthouse_recipient_probes_told_total", true, "Those that were answered with yes or no."},
    [STAT_PROBES_FAILED] = {"posthouse_recipient_probes_failed_total", true,
                            "Times that a primary could not be reached to be asked."},
    [STAT_DB_UNITS] = {"posthouse_db_units_total", true, "Transactions sent to PostgreSQL."},
    [STAT_DB_FAILED] = {"posthouse_db_failed_total", true, "Transactions that failed."},
    [STAT_DB_UNCERTAIN] = {"posthouse_db_uncertain_total", true, "Transactions whose answer was lost."},
    [STAT_DB_RECONNECTS] = {"posthouse_db_reconnects_total", true, "Connections made anew."},
    [STAT_DB_CONNECTED] = {"posthouse_db_connections", false, "Connections to PostgreSQL that are up."},
    [STAT_CACHE_HITS] = {"posthouse_cache_hits_total", true, "Directory look-ups answered from memory."},
    [STAT_CACHE_MISSES] = {"posthouse_cache_misses_total", true, "Directory look-ups that asked PostgreSQL."},
    [STAT_CACHE_DROPS] = {"posthouse_cache_drops_total", true,
                          "Times that everything remembered was dropped, after a change."},
    [STAT_CACHE_BYTES] = {"posthouse_cache_bytes", false, "Memory that remembered answers take."},
    [STAT_WORKERS_READY] = {"posthouse_workers_ready", false, "Workers with a number and a database."},
};

struct shared {
    uint64_t departed[STATS];
    uint64_t restarts;
    uint64_t slots[STATS_SLOTS][STATS];
};
static struct shared *shared;
static unsigned own_slot;

void stats_init(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        log_fatal(1, "cannot map shared memory");
}

void stats_use(unsigned slot)
{
    own_slot = slot % STATS_SLOTS;
}

void stats_set(enum stat stat, uint64_t value)
{
    __atomic_store_n(&shared->slots[own_slot][stat], value, __ATOMIC_RELAXED);
}

void stats_depart(unsigned slot)
{
    for (unsigned i = 0; i < STATS; i++) {
        if (table[i].counter)
            shared->departed[i] += shared->slots[slot][i];
        __atomic_store_n(&shared->slots[slot][i], 0, __ATOMIC_RELAXED);
    }
}

void stats_restarted(void)
{
    shared->restarts++;
}

static uint64_t sum(enum stat stat)
{
    uint64_t total = shared->departed[stat];

    for (unsigned slot = 0; slot < STATS_SLOTS; slot++)
        total += __atomic_load_n(&shared->slots[slot][stat], __ATOMIC_RELAXED);
    return total;
}

char *stats_exposition(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    for (unsigned i = 0; i < STATS; i++) {
        int length = (int)strcspn(table[i].name, "{");

        if (i == 0 ||
            strncmp(table[i].name, table[i - 1].name, (size_t)length + 1) != 0) /* else another label of the same */
            fprintf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", length, table[i].name, table[i].help, length,
                    table[i].name, table[i].counter ? "counter" : "gauge");
        fprintf(out, "%s %llu\n", table[i].name, (unsigned long long)sum((enum stat)i));
    }
    fprintf(out,
            "# HELP posthouse_process_restarts_total Processes that crashed and were replaced.\n"
            "# TYPE posthouse_process_restarts_total counter\nposthouse_process_restarts_total %llu\n",
            (unsigned long long)shared->restarts);
    fclose(out);
    return text;
}
