#ifndef STORAGE_PROVISION_APP_PASSWORD_H
#define STORAGE_PROVISION_APP_PASSWORD_H
/* provision_app_password: an account's app passwords.  See provision.h and app_password.h. */
#include "core/secret.h"
#include "storage/provision.h"

#define PROVISION_APP_PASSWORDS_MAX 50 /* of one account */
#define PROVISION_APP_PASSWORD_NETWORKS_MAX 50

struct provision_app_password {
    int64_t id, account_id;
    struct slice label;
    struct slice *scopes, *networks;
    unsigned scope_count, network_count; /* networks: 0: from anywhere */
    int64_t expires_ms;                  /* INT64_MIN: never */
    int64_t created_ms, last_used_ms;    /* INT64_MIN: never */
};

/* given: label, scopes, networks and expires_ms count. */
AWAITS enum db_write provision_app_password_create(struct arena *arena, const struct provision_app_password *given,
                                                   const unsigned char digest[SECRET_SHA256_SIZE],
                                                   const struct provision_actor *actor, int64_t *id,
                                                   struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_status provision_app_password_get(struct arena *arena, int64_t account_id, struct slice key,
                                                 struct provision_app_password *out)
    __attribute__((warn_unused_result));
/* FOUND also when it is empty. */
AWAITS enum db_status provision_app_password_list(struct arena *arena, int64_t account_id,
                                                  const struct provision_page *page,
                                                  struct provision_app_password **out, unsigned *count)
    __attribute__((warn_unused_result));
AWAITS enum db_write provision_app_password_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                                   struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
