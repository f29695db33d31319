#ifndef STORAGE_PROVISION_RECIPIENT_H
#define STORAGE_PROVISION_RECIPIENT_H
/*
 * provision_recipient: the valid recipients of a domain, as they are listed.  See provision.h.
 *
 * They have no ids: pages go by address.  The domain is found by the caller; that it is gone meanwhile is GONE.
 */
#include "core/arena.h"
#include "storage/provision.h"

#define PROVISION_RECIPIENTS_MAX 250000 /* in one list that replaces another */

struct provision_recipient {
    struct slice address;
    int64_t created_ms;
};

/* after: an address, exclusive; empty begins.  FOUND also when there is none. */
AWAITS enum db_status provision_recipient_list(struct arena *arena, int64_t domain_id, struct slice after,
                                               unsigned limit, struct provision_recipient **out, unsigned *count)
    __attribute__((warn_unused_result));
AWAITS enum db_status provision_recipient_get(struct arena *arena, int64_t domain_id, struct slice address,
                                              struct provision_recipient *out) __attribute__((warn_unused_result));
AWAITS enum db_write provision_recipient_add(struct arena *arena, int64_t domain_id, struct slice address,
                                             const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* The list becomes these; what stays keeps its time. */
AWAITS enum db_write provision_recipient_replace(struct arena *arena, int64_t domain_id, const struct slice *addresses,
                                                 unsigned count, const struct provision_actor *actor,
                                                 struct provision_refusal *refusal) __attribute__((warn_unused_result));
AWAITS enum db_write provision_recipient_delete(struct arena *arena, int64_t domain_id, struct slice address,
                                                const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
