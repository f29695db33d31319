#ifndef STORAGE_PROVISION_HOP_CREDENTIAL_H
#define STORAGE_PROVISION_HOP_CREDENTIAL_H
/*
 * provision_hop_credential: what we sign in with at next hops (storage/hop_credential.h).  See provision.h.
 *
 * Secrets go in and never come out.  What writes one needs keys (hop_credential_keys()).
 */
#include "storage/hop_credential.h"
#include "storage/provision.h"

#define PROVISION_HOP_CREDENTIALS_MAX 10000
#define PROVISION_HOP_CREDENTIAL_PAGE 500 /* resealed in one transaction */

struct provision_hop_credential {
    int64_t id;
    struct slice name, user;
    struct slice mechanism; /* {NULL,0}: any */
    bool verify;
    bool oauth;
    struct slice token_url, client_id, scope; /* oauth; scope {NULL,0}: none */
    struct slice certificate;                 /* PEM, whose key is the secret; {NULL,0}: of another kind */
    bool refreshes;                           /* read: it has a refresh token */
    int64_t token_expires_ms;                 /* read: INT64_MIN: there is no token */
    struct slice token_failure;               /* read: why not, of the last time; {NULL,0}: it did not fail */
    /* Given, in clear; {NULL,0} in an update: as it is.  Never read. */
    struct slice secret, refresh_token;
    char key[SECRET_RING_NAME_SIZE]; /* that it is sealed under */
    bool key_current;                /* and new ones are, by this node */
    int64_t created_ms, changed_ms;
};

/* Given: name, user, mechanism, verify, secret; oauth and what is of it. */
AWAITS enum db_write
provision_hop_credential_create(struct arena *arena, const struct provision_hop_credential *credential,
                                const struct provision_actor *actor, int64_t *id, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* key: an id in letters, or a name. */
AWAITS enum db_status provision_hop_credential_get(struct arena *arena, struct slice key,
                                                   struct provision_hop_credential *out)
    __attribute__((warn_unused_result));
/* FOUND also when it is empty. */
AWAITS enum db_status provision_hop_credential_list(struct arena *arena, const struct provision_page *page,
                                                    struct provision_hop_credential **out, unsigned *count)
    __attribute__((warn_unused_result));
/* All but the name; what waits for its hops is due at once. */
AWAITS enum db_write
provision_hop_credential_update(struct arena *arena, const struct provision_hop_credential *credential,
                                const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* Refused while a next hop names it. */
AWAITS enum db_write provision_hop_credential_delete(struct arena *arena, int64_t id,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

struct provision_resealed {
    int64_t after;     /* go on there */
    unsigned resealed; /* added to */
    unsigned unopened; /* added to: their key is missing, or they were altered */
    bool more;
};
/* A page of secrets that another key than the first has sealed is sealed by that. */
AWAITS enum db_write provision_hop_credential_reseal(struct arena *arena, struct provision_resealed *state,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
