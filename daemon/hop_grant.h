#ifndef DAEMON_HOP_GRANT_H
#define DAEMON_HOP_GRANT_H
/* hop_grant: the token with which a next hop is signed in at, by OAuth (RFC 6749). */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/hop_credential.h"

/*
 * credential, of kind oauth, as it was read, gets a token that is good, the one that it has or a new one (*fresh).
 * False: there is none; *why (in the arena) says it.
 */
AWAITS bool hop_grant_token(struct arena *arena, struct hop_credential *credential, bool *fresh, struct slice *why)
    __attribute__((warn_unused_result));

#endif
