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

/* The keys of this process, which must stay; not called or NULL: there are none, and nothing opens. */
void hop_credential_keys(const struct secret_ring *ring);
const struct secret_ring *hop_credential_ring(void);

struct hop_credential {
    int64_t id;
    int version;
    struct slice name, user;
    struct slice mechanism; /* "plain"; {NULL,0}: any */
    bool verify;            /* not before a certificate for the host's name */
    struct slice secret;    /* wiped with the arena */
    const char *trouble;    /* NULL, or why there is no secret */
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

/* What sealed bytes of a row are bound to. */
struct slice hop_credential_bound(struct arena *arena, int64_t id);

#endif
