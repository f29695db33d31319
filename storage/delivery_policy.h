#ifndef STORAGE_DELIVERY_POLICY_H
#define STORAGE_DELIVERY_POLICY_H
/*
 * delivery_policy: how long, how often and how protected mail to a domain is tried, where that is not as the settings
 * say.
 *
 * Each worker has all policies in memory (storage/known.h): asking costs no round trip, and a change is known within a
 * second.  The write side is storage/provision_delivery.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define DELIVERY_POLICIES_MAX 10000
#define DELIVERY_POLICY_NOT_SET (-1)

enum delivery_tls {
    DELIVERY_TLS_NOT_SET,
    DELIVERY_TLS_NONE,    /* in clear, whatever is offered */
    DELIVERY_TLS_MAY,     /* when it is offered, RFC 7435; as the domain announces */
    DELIVERY_TLS_ENCRYPT, /* not without */
    DELIVERY_TLS_VERIFY,  /* nor without a certificate for the host's name */
    DELIVERY_TLS_DANE,    /* nor without one that the host's TLSA records mean, RFC 7672 */
    DELIVERY_TLS_STS,     /* nor without the domain's MTA-STS policy, RFC 8461 */
};

/* Times in seconds; NOT_SET: as the setting. */
struct delivery_policy {
    struct slice domain;
    int32_t lifetime, delay_notice, retry_first, retry_max;
    enum delivery_tls tls;
    int32_t transaction_recipients, connection_messages; /* at most */
};

struct delivery_times {
    int64_t lifetime_ms;     /* then it bounces */
    int64_t delay_notice_ms; /* then its sender is told; 0: never */
    uint64_t retry_first_ms, retry_max_ms;
};

/*
 * times holds the settings, and comes back as the policy of the recipient's domain has it.  recipient: an address, or a
 * domain.  Does not wait.
 */
void delivery_policy_apply(struct slice recipient, struct delivery_times *times);
/*
 * Pure: the same for a policy that is at hand.  Of one time between tries that is set, and one that is not, the one
 * that is set wins: the first is never longer than the longest.
 */
void delivery_policy_merge(const struct delivery_policy *policy, struct delivery_times *times);

/* At most. */
struct delivery_limits {
    unsigned recipients; /* of a transaction */
    unsigned messages;   /* over a connection; 0: no limit */
};
/* limits holds the settings; each comes back as the policy of the recipient's domain has it.  Does not wait. */
void delivery_policy_limit(struct slice recipient, struct delivery_limits *limits);

/* Of the policy of the recipient's domain. */
enum delivery_tls delivery_policy_tls(struct slice recipient);
/* "none" and so on; NULL for NOT_SET. */
const char *delivery_tls_word(enum delivery_tls tls);
/* False: no such word. */
bool delivery_tls_of(struct slice word, enum delivery_tls *out) __attribute__((warn_unused_result));

/* For storage/known.c. */
AWAITS enum db_status delivery_policy_read(struct arena *arena) __attribute__((warn_unused_result));

#endif
