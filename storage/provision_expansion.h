#ifndef STORAGE_PROVISION_EXPANSION_H
#define STORAGE_PROVISION_EXPANSION_H
/* provision_expansion: aliases and groups, addresses that stand for others.  See provision.h. */
#include <stdbool.h>

#include "storage/provision.h"

#define PROVISION_TARGETS_MAX 1000

enum provision_expansion_kind { PROVISION_ALIAS, PROVISION_GROUP };

struct provision_expansion {
    int64_t id, customer_id, domain_id;
    enum provision_expansion_kind kind;
    struct slice address;
    struct slice senders;  /* of a group: "anyone", "members", "customer" */
    struct slice *targets; /* in alphabetical order */
    unsigned target_count;
    int64_t created_ms;
};

/*
 * domain_id, customer_id: the address's domain and its customer.  Of *wanted kind, address, senders and targets are
 * read.
 */
AWAITS enum db_write provision_expansion_create(struct arena *arena, int64_t customer_id, int64_t domain_id,
                                                const struct provision_expansion *wanted,
                                                const struct provision_actor *actor, int64_t *id,
                                                struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* key: an id in letters, or the address. */
AWAITS enum db_status provision_expansion_get(struct arena *arena, enum provision_expansion_kind kind, struct slice key,
                                              struct provision_expansion *out) __attribute__((warn_unused_result));
/* customer_id or domain_id may be given; 0: of all. FOUND also when it is empty. */
AWAITS enum db_status provision_expansion_list(struct arena *arena, enum provision_expansion_kind kind,
                                               int64_t customer_id, int64_t domain_id,
                                               const struct provision_page *page, struct provision_expansion **out,
                                               unsigned *count) __attribute__((warn_unused_result));
/* senders {NULL,0}, targets NULL: as they are. */
AWAITS enum db_write provision_expansion_update(struct arena *arena, int64_t id, struct slice senders,
                                                const struct slice *targets, unsigned target_count,
                                                const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_write provision_expansion_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                                struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
