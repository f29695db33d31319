#ifndef STORAGE_HOP_CREDENTIAL_H
#define STORAGE_HOP_CREDENTIAL_H
/*
 * hop_credential: what we sign in with at a next hop.
 *
 * Secrets are in the database sealed (core/secret_ring), each bound to its row and column.  The write side is
 * storage/provision_hop_credential.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/secret_ring.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define HOP_CREDENTIAL_USER_MAX 255
#define HOP_CREDENTIAL_SECRET_MAX 1024
#define HOP_CREDENTIAL_TOKEN_MAX 8000
#define HOP_CREDENTIAL_CERTIFICATE_MAX 32768
#define HOP_CREDENTIAL_KEY_MAX 8000

/* The keys of this process, which must stay; not called or NULL: there are none, and nothing opens. */
void hop_credential_keys(const struct secret_ring *ring);
const struct secret_ring *hop_credential_ring(void);

struct hop_credential {
    int64_t id;
    int version;
    struct slice name, user;
    struct slice mechanism; /* "plain"; {NULL,0}: any */
    bool verify;            /* not before a certificate for the host's name */
    struct slice secret;    /* wiped with the arena; {NULL,0}: of kind oauth, a client without one */
    const char *trouble;    /* NULL, or why there is no secret */

    struct slice certificate; /* PEM, whose key is the secret; {NULL,0}: of another kind */
    bool oauth;               /* a token is what is signed in with */
    struct slice token_url, client_id, scope;
    struct slice token, sealed_token; /* {NULL,0}: there is none that is good */
    bool token_due;                   /* it is good, and should be renewed */
    struct slice token_failure;       /* {NULL,0}, or why there is no other now: nobody is to ask */
};
/* NONE: it is gone. */
AWAITS enum db_status hop_credential_get(struct arena *arena, int64_t id, struct hop_credential *out)
    __attribute__((warn_unused_result));

/* A next hop: of a domain, of a route, or of the route that is everybody's and has a name. */
struct hop_credential_hop {
    int64_t domain_id, route_id; /* 0: none */
    const char *route_name;      /* NULL: none */
    const char *host;
    unsigned port;
};
/* Which credential is a hop's now, from the cache: *id 0, none.  NONE: there is no such hop any more. */
AWAITS enum db_status hop_credential_of(struct arena *arena, const struct hop_credential_hop *hop, int64_t *id,
                                        int *version) __attribute__((warn_unused_result));

/* What sealed bytes are bound to.  column: "secret", "refresh_token", "access_token". */
struct slice hop_credential_bound(struct arena *arena, int64_t id, const char *column);
/* NULL, or why they do not open.  {NULL,0} opens as it is. */
const char *hop_credential_open(struct arena *arena, int64_t id, const char *column, struct slice sealed,
                                struct slice *secret) __attribute__((warn_unused_result));

#endif
