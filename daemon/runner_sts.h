#ifndef DAEMON_RUNNER_STS_H
#define DAEMON_RUNNER_STS_H
/*
 * runner_sts: MTA-STS policies (RFC 8461), for deliveries and for reports.
 */
#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "relay/sts.h"
#include "storage/status.h"

/* The domain's policy, in the arena.  NONE: *why says why, after "the domain".  FAILED: our database does not tell. */
AWAITS enum db_status runner_sts_find(struct arena *arena, struct slice domain, struct sts_policy *out,
                                      const char **why);
AWAITS void runner_sts_for_ever(void *arg);
/*
 * "+HOST:PORT:ADDRESS,ADDRESS" for core/http.h, of a host that a stranger names: public addresses only, but in a
 * laboratory.  NULL, with the reason.
 */
AWAITS const char *runner_sts_resolve(struct arena *arena, const char *host, unsigned port, const char **why);

#endif
