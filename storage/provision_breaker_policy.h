#ifndef STORAGE_PROVISION_BREAKER_POLICY_H
#define STORAGE_PROVISION_BREAKER_POLICY_H
/* provision_breaker_policy: breaker policies as administrators write them.  See provision.h, breaker_policy.h. */
#include "storage/breaker_policy.h"
#include "storage/provision.h"

/* TAKEN: there is one for that. */
AWAITS enum db_write provision_breaker_policy_create(struct arena *arena, struct breaker_policy *policy,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_status provision_breaker_policy_get(struct arena *arena, struct slice key, struct breaker_policy *out)
    __attribute__((warn_unused_result));
/* customer_id 0: all. */
AWAITS enum db_status provision_breaker_policy_list(struct arena *arena, int64_t customer_id,
                                                    const struct provision_page *page, struct breaker_policy **out,
                                                    unsigned *count) __attribute__((warn_unused_result));
AWAITS enum db_write provision_breaker_policy_update(struct arena *arena, const struct breaker_policy *policy,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_write provision_breaker_policy_delete(struct arena *arena, int64_t id,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
