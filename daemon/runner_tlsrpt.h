#ifndef DAEMON_RUNNER_TLSRPT_H
#define DAEMON_RUNNER_TLSRPT_H
/*
 * runner_tlsrpt: what is reported to other domains of connections to them (RFC 8460): runner_tlsrpt.c counts,
 * runner_tlsrpt_send.c reports.
 */
#include "daemon/runner_hop.h"
#include "relay/tlsrpt.h"

/* Whatever came of it: the current hop was connected to, as far as EHLO. */
void runner_tlsrpt_session(struct arena *arena, const struct route_key *key, const struct runner_walk *walk,
                           const struct smtp_client *client);
/* It was not, for what is announced of it.  reason: static, or NULL. */
void runner_tlsrpt_refused(struct arena *arena, const struct route_key *key, const struct runner_walk *walk,
                           enum tlsrpt_result result, const char *reason);
/* A domain's MTA-STS policy could not be had. */
void runner_tlsrpt_policy(struct slice domain, enum tlsrpt_result result);

/* Where the domain wants its reports. */
AWAITS enum dns_status runner_tlsrpt_find(struct arena *arena, struct slice domain,
                                          struct tlsrpt_rua rua[TLSRPT_RUA_MAX], unsigned *count);
/* Sends what is due. */
AWAITS void runner_tlsrpt_send(void);

/* Adds what was counted, and sends what is due. */
AWAITS void runner_tlsrpt_for_ever(void *arg);

#endif
