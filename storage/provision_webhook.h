#ifndef STORAGE_PROVISION_WEBHOOK_H
#define STORAGE_PROVISION_WEBHOOK_H
/* provision_webhook: webhooks (storage/webhook.h) as administrators write them.  See provision.h. */
#include <stdbool.h>

#include "core/secret_ring.h"
#include "storage/provision.h"
#include "storage/provision_hop_credential.h"
#include "storage/webhook.h"

struct provision_webhook {
    int64_t id;
    int64_t customer_id; /* 0: everybody's events */
    struct slice url, label;
    struct slice *events; /* types */
    unsigned event_count; /* 0: all */
    bool enabled;
    struct slice secret; /* going in only, as text; {NULL,0} in a change: as it is */
    /* Coming out: */
    char key[SECRET_RING_NAME_SIZE]; /* that its secret is sealed by */
    bool key_current;
    int64_t created_ms, changed_ms, last_success_ms, last_failure_ms;
    struct slice last_error;
    int64_t failures, pending, given_up, dropped;
};

AWAITS enum db_write provision_webhook_create(struct arena *arena, const struct provision_webhook *webhook,
                                              const struct provision_actor *actor, int64_t *id,
                                              struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* key: an id in letters. */
AWAITS enum db_status provision_webhook_get(struct arena *arena, struct slice key, struct provision_webhook *out)
    __attribute__((warn_unused_result));
/* customer_id 0: all.  FOUND also when it is empty. */
AWAITS enum db_status provision_webhook_list(struct arena *arena, int64_t customer_id,
                                             const struct provision_page *page, struct provision_webhook **out,
                                             unsigned *count) __attribute__((warn_unused_result));
/* All but the customer.  What waits is tried at once. */
AWAITS enum db_write provision_webhook_update(struct arena *arena, const struct provision_webhook *webhook,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* With what it has not been told. */
AWAITS enum db_write provision_webhook_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                              struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* It is told webhook.test, whatever events it wants. */
AWAITS enum db_write provision_webhook_test(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                            int64_t *event_id, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* As provision_hop_credential_reseal(). */
AWAITS enum db_write provision_webhook_reseal(struct arena *arena, struct provision_resealed *state,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
