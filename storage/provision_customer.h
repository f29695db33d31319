#ifndef STORAGE_PROVISION_CUSTOMER_H
#define STORAGE_PROVISION_CUSTOMER_H
/* provision_customer: customers, who own everything else.  See provision.h. */
#include <stdbool.h>

#include "storage/provision.h"

struct provision_customer {
    int64_t id;
    unsigned cell; /* chosen at random when it is made; for good */
    struct slice name;
    bool active;
    struct slice sources; /* storage/source_pool.h; empty: none */
    int64_t created_ms;
};

AWAITS enum db_write provision_customer_create(struct arena *arena, struct slice name,
                                               const struct provision_actor *actor, int64_t *id,
                                               struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* key: an id in letters, or a name. */
AWAITS enum db_status provision_customer_get(struct arena *arena, struct slice key, struct provision_customer *out)
    __attribute__((warn_unused_result));
/* FOUND also when it is empty. */
AWAITS enum db_status provision_customer_list(struct arena *arena, const struct provision_page *page,
                                              struct provision_customer **out, unsigned *count)
    __attribute__((warn_unused_result));
/* name {NULL,0}, active NULL, sources {NULL,0}: stay as they are. */
AWAITS enum db_write provision_customer_update(struct arena *arena, int64_t id, struct slice name, const bool *active,
                                               struct slice sources, const struct provision_actor *actor,
                                               struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* Refused while it has domains, accounts or networks. */
AWAITS enum db_write provision_customer_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                               struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
