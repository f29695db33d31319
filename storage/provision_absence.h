#ifndef STORAGE_PROVISION_ABSENCE_H
#define STORAGE_PROVISION_ABSENCE_H
/* provision_absence: times in which a domain's primary is treated as down: planned maintenance, and drills. */
#include "storage/provision.h"

struct provision_absence {
    int64_t id, domain_id;
    int64_t account_id;  /* a drill of this account alone; 0: of the domain */
    struct slice domain; /* name; coming out, as is the account's address */
    struct slice account;
    const char *kind;    /* going in: "maintenance" or "drill" */
    int64_t starts_ms, ends_ms, created_ms;
    struct slice reason;
    int64_t outage_id; /* that it made; 0: none (yet) */
};

AWAITS enum db_write provision_absence_create(struct arena *arena, const struct provision_absence *absence,
                                              const struct provision_actor *actor, int64_t *id,
                                              struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* key: an id in letters.  domain_id 0: of any. */
AWAITS enum db_status provision_absence_get(struct arena *arena, const char *kind, int64_t domain_id, struct slice key,
                                            struct provision_absence *out) __attribute__((warn_unused_result));
/* domain_id 0: of all.  FOUND also when it is empty. */
AWAITS enum db_status provision_absence_list(struct arena *arena, const char *kind, int64_t domain_id,
                                             const struct provision_page *page, struct provision_absence **out,
                                             unsigned *count) __attribute__((warn_unused_result));
/* One that is on, or was, ends now at the latest, and stays; one that has not begun is gone. */
AWAITS enum db_write provision_absence_end(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                           struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
