#ifndef DAEMON_RUNNER_H
#define DAEMON_RUNNER_H
/*
 * runner: delivers what this worker accepted (from memory, at once) and what is due in the cells it leases.
 *
 * runner_init() registers itself with accept_on_committed().  Deliveries are tasks of a pool of their own; per
 * destination a few at a time.  daemon/outages.c decides, with what the runner reports, whether a primary is away.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/tls.h"
#include "relay/reply_class.h"
#include "storage/delivery_policy.h"

struct dkim_settings;
struct runner_settings {
    const char *hostname;           /* EHLO */
    const char *default_route_host; /* smart host for mail to outside; NULL: see the next */
    unsigned default_route_port;
    const char *default_route_name;      /* a route for it; NULL: MX */
    unsigned mx_port;                    /* 25 */
    unsigned sts_port;                   /* 443 */
    const char *sts_ca_file;             /* NULL: the system's authorities */
    const char *tls_report_contact;      /* NULL: there are none */
    const char *tls_report_organization; /* "": hostname */
    const struct dkim_settings *tls_report_dkim; /* NULL: they are not signed */
    unsigned deliveries_max;             /* at once, this worker (default 100) */
    unsigned per_destination_max;        /* at once, per destination (default 10) */
    struct delivery_limits limits;       /* 100 and 0 */
    unsigned connect_timeout_ms;         /* 30,000 */
    unsigned reply_timeout_ms;           /* RFC 5321 4.5.3.2: 5 minutes */
    unsigned data_timeout_ms;            /* after the final dot: 10 minutes */
    unsigned retry_min_ms;     /* first retry of a destination: 5,000 for relay domains' primaries (probe interval) */
    unsigned retry_first_ms;   /* first retry elsewhere: 5 minutes */
    unsigned retry_max_ms;     /* 1 hour */
    bool verify_tls;           /* false: opportunistic */
    bool chunking;             /* BDAT to next hops that offer it */
    uint64_t message_size_max; /* that we ourselves take */
    int64_t queue_lifetime_ms; /* of the notices that we send */
    int64_t delay_notice_ms;   /* after so long senders are told of a delay; 0: never */
};

void runner_init(const struct runner_settings *settings);
/* Starts nothing new; calls done(arg) when nothing is under way. */
void runner_drain(void (*done)(void *arg), void *arg);

struct runner_counters {
    uint64_t delivered, deferred, bounced, connections;
    uint64_t deferred_by[REPLY_CLASSES], bounced_by[REPLY_CLASSES];
    uint64_t attempts; /* recipients offered to a next hop */
    uint64_t tls_reports, tls_reports_failed;
    unsigned active, waiting_in_memory, outages_open;
};
void runner_counters(struct runner_counters *out);

#endif
