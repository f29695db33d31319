#ifndef STORAGE_BREAKER_POLICY_H
#define STORAGE_BREAKER_POLICY_H
/*
 * breaker_policy: from when on an account's sending is not its own any more.
 *
 * Each worker has all of them in memory (storage/known.h).  An account's own goes before its domain's, that before its
 * customer's, that before the one for everybody.  Without one nothing of an account is counted.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/hold.h"
#include "storage/status.h"

#define BREAKER_POLICIES_MAX 10000

enum breaker_measure { BREAKER_MESSAGES, BREAKER_RECIPIENTS, BREAKER_FAILURES, BREAKER_COUNTRIES };
#define BREAKER_HOURLY 3 /* the first three are counted by the hour */

struct breaker_policy {
    int64_t id;
    int64_t customer_id, domain_id, account_id; /* one of them; all 0: everybody's */
    bool enabled;
    uint32_t least[BREAKER_HOURLY]; /* with no more it is never opened */
    uint32_t factor;                /* nor with no more than so many times the usual number */
    uint32_t countries;             /* nor with no more new ones in a day */
    int64_t hold_ms;                /* what is held waits so long at most, then: */
    enum hold_then then;
    int64_t open_ms;            /* 0: until somebody closes it */
    struct slice notify, label; /* {NULL,0}: none */
    int64_t created_ms;
};

/* NULL: none, or it is not enabled.  It stays until the next wait. */
const struct breaker_policy *breaker_policy_of(int64_t customer_id, int64_t domain_id, int64_t account_id);

struct rows;
#define BREAKER_POLICY_COLUMNS                                                                                         \
    "id, coalesce(customer_id, 0), coalesce(domain_id, 0), coalesce(account_id, 0), enabled, messages, recipients,"    \
    " failures, factor, countries, hold_seconds, hold_then, coalesce(open_seconds, 0), notify, label, created_at"
void breaker_policy_row(const struct rows *rows, unsigned row, struct breaker_policy *out);

/* For storage/known.c. */
AWAITS enum db_status breaker_policy_read(struct arena *arena) __attribute__((warn_unused_result));

#endif
