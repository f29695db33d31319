#ifndef STORAGE_PROVISION_NETWORK_H
#define STORAGE_PROVISION_NETWORK_H
/* provision_network: blocks of addresses whose clients may relay for a customer without AUTH.  See provision.h. */
#include "storage/provision.h"

struct provision_network {
    int64_t id, customer_id;
    struct slice cidr;
    int64_t created_ms;
};

/* Blocks may lie within each other: the most specific one counts. */
AWAITS enum db_write provision_network_create(struct arena *arena, int64_t customer_id, struct slice cidr,
                                              const struct provision_actor *actor, int64_t *id,
                                              struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* key: an id in letters, or a block as name_cidr() takes it. */
AWAITS enum db_status provision_network_get(struct arena *arena, struct slice key, struct provision_network *out)
    __attribute__((warn_unused_result));
/* customer_id 0: of all. FOUND also when it is empty. */
AWAITS enum db_status provision_network_list(struct arena *arena, int64_t customer_id,
                                             const struct provision_page *page, struct provision_network **out,
                                             unsigned *count) __attribute__((warn_unused_result));
AWAITS enum db_write provision_network_assign(struct arena *arena, int64_t id, int64_t customer_id,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_write provision_network_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                              struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
