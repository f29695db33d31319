#ifndef STORAGE_PROVISION_CONTINUITY_H
#define STORAGE_PROVISION_CONTINUITY_H
/* provision_continuity: continuity policies (storage/continuity_policy.h) as administrators write them. */
#include "storage/continuity_policy.h"
#include "storage/provision.h"

/* All of it: what is not set in policy is not set afterwards. */
AWAITS enum db_write provision_continuity_put(struct arena *arena, int64_t domain_id,
                                              const struct continuity_policy *policy,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* Back to the defaults; DONE also when there was nothing. */
AWAITS enum db_write provision_continuity_delete(struct arena *arena, int64_t domain_id,
                                                 const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
