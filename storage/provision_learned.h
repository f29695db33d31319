#ifndef STORAGE_PROVISION_LEARNED_H
#define STORAGE_PROVISION_LEARNED_H
/*
 * provision_learned: what was learned of a domain's recipients (storage/learned.h), to be seen and forgotten.  See
 * provision.h.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "storage/provision.h"

struct provision_learned {
    struct slice address;
    bool valid;
    int64_t learned_ms, until_ms;
};

enum provision_learned_which { PROVISION_LEARNED_ALL, PROVISION_LEARNED_VALID, PROVISION_LEARNED_INVALID };

/* after: an address, exclusive; empty begins.  FOUND also when there is none. */
AWAITS enum db_status provision_learned_list(struct arena *arena, int64_t domain_id, enum provision_learned_which which,
                                             struct slice after, unsigned limit, struct provision_learned **out,
                                             unsigned *count) __attribute__((warn_unused_result));
AWAITS enum db_status provision_learned_get(struct arena *arena, int64_t domain_id, struct slice address,
                                            struct provision_learned *out) __attribute__((warn_unused_result));
AWAITS enum db_write provision_learned_forget(struct arena *arena, int64_t domain_id, struct slice address,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* Also whether its primary takes everything. */
AWAITS enum db_write provision_learned_forget_all(struct arena *arena, int64_t domain_id,
                                                  const struct provision_actor *actor,
                                                  struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
