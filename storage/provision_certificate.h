#ifndef STORAGE_PROVISION_CERTIFICATE_H
#define STORAGE_PROVISION_CERTIFICATE_H
/* provision_certificate: an account's certificates.  See provision.h and certificate.h. */
#include "storage/provision.h"

#define PROVISION_CERTIFICATES_MAX 50 /* of one account */

struct provision_certificate {
    int64_t id, account_id;
    struct slice label;
    struct slice fingerprint, address; /* {NULL,0}: any; not both */
    struct slice *scopes;
    unsigned scope_count;
    int64_t created_ms, last_used_ms; /* INT64_MIN: never */
};

/* given: label, fingerprint, address and scopes count. */
AWAITS enum db_write provision_certificate_create(struct arena *arena, const struct provision_certificate *given,
                                                  const struct provision_actor *actor, int64_t *id,
                                                  struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_status provision_certificate_get(struct arena *arena, int64_t account_id, struct slice key,
                                                struct provision_certificate *out) __attribute__((warn_unused_result));
/* FOUND also when it is empty. */
AWAITS enum db_status provision_certificate_list(struct arena *arena, int64_t account_id,
                                                 const struct provision_page *page, struct provision_certificate **out,
                                                 unsigned *count) __attribute__((warn_unused_result));
AWAITS enum db_write provision_certificate_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                                  struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
