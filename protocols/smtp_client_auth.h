#ifndef PROTOCOLS_SMTP_CLIENT_AUTH_H
#define PROTOCOLS_SMTP_CLIENT_AUTH_H
/* smtp_client_auth: signing in at a next hop (RFC 4954), between TLS and the first message. */
#include "protocols/smtp_client_internal.h"
#include "relay/retry.h"

/*
 * With settings.credential.  False: *why (in the arena) says it in words or in the server's; credential->refused if
 * that did not take it.  The client may be broken.
 */
AWAITS bool smtp_client_authenticate(struct smtp_client *client, struct arena *arena, struct slice *why)
    __attribute__((warn_unused_result));

/* As retry_classify() of its last reply; a configured host that wants us to sign in is an administrator's matter. */
enum retry_verdict smtp_client_verdict(const struct smtp_client *client, enum retry_stage stage);

#endif
