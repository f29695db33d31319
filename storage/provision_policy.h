#ifndef STORAGE_PROVISION_POLICY_H
#define STORAGE_PROVISION_POLICY_H
/* provision_policy: what is asked of strangers (storage/client_policy.h).  See provision.h. */
#include <stdbool.h>

#include "storage/provision.h"

#define PROVISION_POLICY_NO_SCORE INT32_MIN

struct provision_policy {
    int64_t id;
    int64_t customer_id, domain_id;      /* 0 and 0: of all; of a domain: both */
    int32_t revision;                    /* as it was read: a change needs that nobody else made one */
    struct slice label;                  /* {NULL,0}: none */
    int32_t refuse_at, greylist_at;      /* PROVISION_POLICY_NO_SCORE: none */
    struct slice reverse_name, greylist; /* the words of schema/0023_stranger.sql */
    int32_t reverse_score, greylist_delay_s, greylist_passes;
    int64_t created_ms;
};

/* Given: all but id, revision and created_ms. */
AWAITS enum db_write provision_policy_create(struct arena *arena, const struct provision_policy *policy,
                                             const struct provision_actor *actor, int64_t *id,
                                             struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* key: an id in letters. */
AWAITS enum db_status provision_policy_get(struct arena *arena, struct slice key, struct provision_policy *out)
    __attribute__((warn_unused_result));
/* customer_id 0: of all.  FOUND also when it is empty. */
AWAITS enum db_status provision_policy_list(struct arena *arena, int64_t customer_id, const struct provision_page *page,
                                            struct provision_policy **out, unsigned *count)
    __attribute__((warn_unused_result));
/* All but whom it is for. */
AWAITS enum db_write provision_policy_update(struct arena *arena, const struct provision_policy *policy,
                                             const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_write provision_policy_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                             struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
