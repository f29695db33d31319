#ifndef STORAGE_PROVISION_IMAP_ACCESS_H
#define STORAGE_PROVISION_IMAP_ACCESS_H
/* provision_imap_access: the way into the mailboxes of a domain's primary (storage/imap_access.h).  See provision.h. */
#include "storage/imap_access.h"
#include "storage/provision.h"

struct provision_imap_access {
    struct imap_access access;
    struct slice credential; /* read: its name */
    int64_t created_ms;
};
AWAITS enum db_status provision_imap_access_get(struct arena *arena, int64_t domain_id,
                                                struct provision_imap_access *out) __attribute__((warn_unused_result));
/* Whether there is one or not; what waits to be carried is due at once. */
AWAITS enum db_write provision_imap_access_put(struct arena *arena, int64_t domain_id, const struct imap_access *access,
                                               const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_write provision_imap_access_delete(struct arena *arena, int64_t domain_id,
                                                  const struct provision_actor *actor,
                                                  struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
