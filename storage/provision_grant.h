#ifndef STORAGE_PROVISION_GRANT_H
#define STORAGE_PROVISION_GRANT_H
/* provision_grant: relay grants.  See provision.h; what they mean is in directory_grant.h and relay/authorize.c. */
#include <stdbool.h>

#include "storage/provision.h"

#define PROVISION_GRANT_DOMAINS_MAX 100
#define PROVISION_GRANT_LIMITS 7

/* "messages_per_minute" ... "bytes_per_day": columns, and members in the API. */
extern const char *const provision_grant_limits[PROVISION_GRANT_LIMITS];

/* Who is meant: of account, domain, network and certificate at most one; none: the whole customer. */
struct provision_grant {
    int64_t id, customer_id;
    int32_t revision;
    int64_t account_id, domain_id; /* 0: not by that */
    struct slice network;          /* {NULL,0}: not by that */
    struct slice certificate;      /* its fingerprint; {NULL,0}: not by that */
    struct slice label;            /* {NULL,0}: none */
    struct slice senders;          /* "own", "domains", "any" */
    struct slice recipients;       /* "any", "domains", "customer" */
    struct slice at_limit;         /* "refuse", "defer", "hold" */
    int64_t hold_seconds;          /* with "hold" */
    struct slice hold_then;        /* "release", "reject" */
    struct slice *sender_domains, *recipient_domains;
    unsigned sender_domain_count, recipient_domain_count;
    int64_t size_max, recipients_max; /* 0: none */
    bool tls_required;
    struct slice counted_by;                /* "grant", "account" */
    int64_t limits[PROVISION_GRANT_LIMITS]; /* 0: none; in the order of provision_grant_limits */
    int64_t valid_from_ms, valid_until_ms;  /* INT64_MIN: open */
    int64_t created_ms;
};

/* The id, revision and created_ms of what is given do not matter. */
AWAITS enum db_write provision_grant_create(struct arena *arena, const struct provision_grant *grant,
                                            const struct provision_actor *actor, int64_t *id,
                                            struct provision_refusal *refusal) __attribute__((warn_unused_result));
AWAITS enum db_status provision_grant_get(struct arena *arena, struct slice key, struct provision_grant *out)
    __attribute__((warn_unused_result));
/* customer_id 0: of all. FOUND also when it is empty. */
AWAITS enum db_status provision_grant_list(struct arena *arena, int64_t customer_id, const struct provision_page *page,
                                           struct provision_grant **out, unsigned *count)
    __attribute__((warn_unused_result));
/* Everything but who is meant.  Refused if its revision is not the one given any more. */
AWAITS enum db_write provision_grant_update(struct arena *arena, const struct provision_grant *grant,
                                            const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_write provision_grant_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                            struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
