#ifndef STORAGE_PROVISION_DELIVERY_H
#define STORAGE_PROVISION_DELIVERY_H
/* provision_delivery: delivery policies (storage/delivery_policy.h) as administrators write them.  See provision.h. */
#include "storage/delivery_policy.h"
#include "storage/provision.h"

struct provision_delivery {
    int64_t id;
    struct delivery_policy policy; /* its domain as name_domain() makes it */
    struct slice label;            /* {NULL,0}: none */
    int64_t created_ms;
};

/* id comes out; created_ms is not asked for.  TAKEN: the domain has one. */
AWAITS enum db_write provision_delivery_create(struct arena *arena, struct provision_delivery *delivery,
                                               const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* key: an id in letters, or a domain. */
AWAITS enum db_status provision_delivery_get(struct arena *arena, struct slice key, struct provision_delivery *out)
    __attribute__((warn_unused_result));
/* FOUND also when it is empty. */
AWAITS enum db_status provision_delivery_list(struct arena *arena, const struct provision_page *page,
                                              struct provision_delivery **out, unsigned *count)
    __attribute__((warn_unused_result));
/* All but the domain. */
AWAITS enum db_write provision_delivery_update(struct arena *arena, const struct provision_delivery *delivery,
                                               const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_write provision_delivery_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                               struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
