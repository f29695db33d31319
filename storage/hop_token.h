#ifndef STORAGE_HOP_TOKEN_H
#define STORAGE_HOP_TOKEN_H
/*
 * hop_token: tokens of credentials of kind oauth (storage/hop_credential.h), shared by all nodes.
 *
 * Who wants a new one claims the row first, so that one asks the token server at a time: a refresh token may be good
 * for one use only.
 */
#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define HOP_TOKEN_CLAIM_S 60

/*
 * FOUND: claimed, for HOP_TOKEN_CLAIM_S; *refresh is its refresh token, sealed, or {NULL,0}.  NONE: somebody else has
 * it, or it failed lately, or the credential is another by now.
 */
AWAITS enum db_status hop_token_claim(struct arena *arena, int64_t credential_id, int version, struct slice *refresh)
    __attribute__((warn_unused_result));
/* Of who has the claim, which ends.  refresh {NULL,0}: as it was. */
AWAITS enum db_write hop_token_store(struct arena *arena, int64_t credential_id, int version, struct slice token,
                                     int64_t lifetime_s, struct slice refresh) __attribute__((warn_unused_result));
/* The same: it failed, and is not tried again for 10 s, doubling to 15 minutes. */
AWAITS enum db_write hop_token_fail(struct arena *arena, int64_t credential_id, int version, struct slice why)
    __attribute__((warn_unused_result));
/* A server did not take this one (sealed, as it was read). */
AWAITS enum db_write hop_token_drop(struct arena *arena, int64_t credential_id, struct slice sealed)
    __attribute__((warn_unused_result));

#endif
