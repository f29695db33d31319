#ifndef STORAGE_TLS_REPORT_H
#define STORAGE_TLS_REPORT_H
/*
 * tls_report: sessions with others' MX hosts, counted by day and domain, and whose report is due (RFC 8460).
 *
 * Counts may be lost (a worker that is killed, a commit that nobody waits for): they are statistics.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define TLS_REPORT_ROWS_MAX 1000 /* of a domain and day; what differs from these is not counted any more */

/* The words are relay/tlsrpt.h's; none is null. */
struct tls_report_row {
    struct slice domain, policy_type, policy, mx_patterns, result, mx, sending, receiving, reason;
    int64_t sessions;
};
struct tls_report_due {
    struct slice day; /* "2026-11-27"; {NULL,0}: nothing is due */
    int64_t begin_ms; /* of it */
    struct slice domain;
    unsigned tries; /* this one included */
};

/* Counts them as of today, UTC. */
AWAITS enum db_write tls_report_add(struct arena *arena, const struct tls_report_row *rows, unsigned count)
    __attribute__((warn_unused_result));
/* One that is due, which nobody else is told for half an hour. */
AWAITS enum db_write tls_report_take(struct arena *arena, struct tls_report_due *out)
    __attribute__((warn_unused_result));
/* Its rows, those of one policy together. */
AWAITS enum db_status tls_report_read(struct arena *arena, const struct tls_report_due *due,
                                      struct tls_report_row **out, unsigned *count) __attribute__((warn_unused_result));
/* It has gone, or is given up. */
AWAITS enum db_write tls_report_end(struct arena *arena, const struct tls_report_due *due)
    __attribute__((warn_unused_result));

#endif
