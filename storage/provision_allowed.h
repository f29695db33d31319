#ifndef STORAGE_PROVISION_ALLOWED_H
#define STORAGE_PROVISION_ALLOWED_H
/* provision_allowed: the allow-list (storage/allow.h).  See provision.h. */
#include "storage/provision.h"

struct provision_allowed {
    int64_t id;
    int64_t customer_id; /* 0: whatever its clients bring */
    struct slice network;
    struct slice label;     /* {NULL,0}: none */
    int64_t valid_until_ms; /* INT64_MIN: for ever */
    int64_t created_ms;
};

/* Given: all but id and created_ms. */
AWAITS enum db_write provision_allowed_create(struct arena *arena, const struct provision_allowed *allowed,
                                              const struct provision_actor *actor, int64_t *id,
                                              struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* key: an id in letters. */
AWAITS enum db_status provision_allowed_get(struct arena *arena, struct slice key, struct provision_allowed *out)
    __attribute__((warn_unused_result));
/* customer_id 0: of all.  FOUND also when it is empty. */
AWAITS enum db_status provision_allowed_list(struct arena *arena, int64_t customer_id,
                                             const struct provision_page *page, struct provision_allowed **out,
                                             unsigned *count) __attribute__((warn_unused_result));
/* Label and end. */
AWAITS enum db_write provision_allowed_update(struct arena *arena, const struct provision_allowed *allowed,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_write provision_allowed_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                              struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
