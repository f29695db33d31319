#ifndef DAEMON_HOP_LOGIN_H
#define DAEMON_HOP_LOGIN_H
/* hop_login: with which credential a next hop is signed in at, for whoever opens connections to it. */
#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "protocols/smtp_client.h"

/*
 * As smtp_client_open(), with that credential; 0: with none.  settings->credential_refused, and false: it is wrong, or
 * cannot be used now, and no other address needs to be tried.
 */
AWAITS bool hop_login_open(struct arena *arena, int64_t credential_id, struct smtp_client_settings *settings,
                           struct smtp_client_target *target, struct smtp_client **out, struct slice *why)
    __attribute__((warn_unused_result));

#endif
