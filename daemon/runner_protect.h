#ifndef DAEMON_RUNNER_PROTECT_H
#define DAEMON_RUNNER_PROTECT_H
/*
 * runner_protect: how well a connection must be protected for a message, and whether it is.
 */
#include "daemon/runner_memory.h"
#include "protocols/smtp_client.h"
#include "storage/delivery_policy.h"

enum runner_protection {
    RUNNER_PROTECTION_ANY,        /* by the sender's wish: whatever the host has announced */
    RUNNER_PROTECTION_ANNOUNCED,  /* what the host has announced: runner_transport.c */
    RUNNER_PROTECTION_CLEAR,      /* by the domain's policy: no TLS */
    RUNNER_PROTECTION_ENCRYPTED,  /* by the domain's policy */
    RUNNER_PROTECTION_CERTIFIED,  /* by the domain's policy: and with a certificate for the host's name */
    RUNNER_PROTECTION_VERIFIED,   /* the same by our own setting: a host without it does not serve */
    RUNNER_PROTECTION_DANE,       /* by the domain's policy: and with a certificate that TLSA records mean */
    RUNNER_PROTECTION_STS,        /* by the domain's policy: and as its MTA-STS policy has it */
    RUNNER_PROTECTION_REQUIRETLS, /* by the sender's wish */
};
/* Does it depend on what the host has announced? */
bool runner_protection_asks(enum runner_protection wanted);
/* Of any message for the domain, whatever its sender wishes. */
enum runner_protection runner_protection_of(struct slice domain);
/* recipient: one of the message's. */
enum runner_protection runner_protection_wanted(const struct runner_message *message, struct slice recipient);
/*
 * The same over a hop of a route, which says what it wants at least: it raises what the policy wants, and takes the place
 * of our own setting.
 */
enum runner_protection runner_protection_at(enum runner_protection wanted, enum delivery_tls hop);
struct runner_lack {
    const char *why;     /* what follows the host's name */
    struct slice status; /* for the report */
};
/* Is the connection good enough?  Else *lack. */
bool runner_protection_met(const struct smtp_client *client, enum runner_protection wanted, struct runner_lack *lack)
    __attribute__((warn_unused_result));

struct runner_secured runner_secured_of(const struct smtp_client *client);
struct runner_remote runner_remote_of(struct arena *arena, const struct smtp_client *client);

#endif
