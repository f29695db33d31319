#ifndef STORAGE_DIRECTORY_GRANT_H
#define STORAGE_DIRECTORY_GRANT_H
/*
 * directory_grant: the relay grants that concern a client.  The write side is storage/provision_grant.h.
 *
 * Only grants of the most specific kind that names the client are given: its account's; if there is none, its
 * domain's; if there is none, its customer's.  For clients without AUTH: those of the certificate that it has shown,
 * else the smallest network's, else those of the customer in whose `network` it is.  So a grant for one account
 * replaces, for that account, what its customer may do.  Grants out of their time do not exist.  None at all: the
 * implicit rules hold (relay/authorize.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/hold.h"
#include "storage/status.h"

#define DIRECTORY_GRANTS_MAX 32 /* the oldest ones; more are not looked at */

enum directory_senders {
    DIRECTORY_SENDERS_OWN,     /* the account's addresses; of a network: those in its customer's domains */
    DIRECTORY_SENDERS_DOMAINS, /* in sender_domains */
    DIRECTORY_SENDERS_ANY,
};
enum directory_recipients {
    DIRECTORY_RECIPIENTS_ANY,
    DIRECTORY_RECIPIENTS_DOMAINS,  /* in recipient_domains */
    DIRECTORY_RECIPIENTS_CUSTOMER, /* in domains of the grant's customer */
};
enum directory_limit {
    DIRECTORY_LIMIT_REFUSE,
    DIRECTORY_LIMIT_DEFER,
    DIRECTORY_LIMIT_HOLD, /* at those of a minute, an hour or a day; at others like DEFER */
};

enum directory_span { DIRECTORY_MINUTE, DIRECTORY_HOUR, DIRECTORY_DAY };
#define DIRECTORY_SPANS 3

/* In the present minute, hour and day of the clock (UTC). */
struct directory_amounts {
    uint64_t messages[DIRECTORY_SPANS], recipients[DIRECTORY_SPANS], bytes_day;
};

struct directory_grant {
    int64_t id, customer_id;
    unsigned cell; /* the customer's */
    bool customer_active;
    enum directory_senders senders;
    enum directory_recipients recipients;
    struct slice *sender_domains, *recipient_domains; /* lower case */
    unsigned sender_domain_count, recipient_domain_count;
    uint64_t size_max;       /* 0: none of its own */
    unsigned recipients_max; /* 0: none of its own */
    enum directory_limit at_limit;
    int64_t hold_ms; /* HOLD: so long, then: */
    enum hold_then hold_then;
    bool tls_required;
    bool counted;                    /* it has limits below */
    int64_t counted_for;             /* the account whose use counts; 0: everybody's */
    struct directory_amounts limits; /* 0: none */
    struct directory_amounts used;   /* with counted: when the grants were looked up */
};

struct directory_grants {
    struct directory_grant *list; /* oldest first */
    unsigned count;
};

struct directory_account;

/* at_ms: as of when; INT64_MIN: now.  FOUND also when there is none. */
AWAITS enum db_status directory_grants_of_account(struct arena *arena, const struct directory_account *account,
                                                  int64_t at_ms, struct directory_grants *out)
    __attribute__((warn_unused_result));
/*
 * client: its address, as directory_network() takes it; certificate: the fingerprint, empty: none was shown.  Neither:
 * no grants.
 */
AWAITS enum db_status directory_grants_of_client(struct arena *arena, const char *client, struct slice certificate,
                                                 int64_t at_ms, struct directory_grants *out)
    __attribute__((warn_unused_result));

/* What was used of them, as of now. */
AWAITS enum db_status directory_grants_usage(struct arena *arena, struct directory_grants *grants)
    __attribute__((warn_unused_result));

#endif
