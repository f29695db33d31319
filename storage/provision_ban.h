#ifndef STORAGE_PROVISION_BAN_H
#define STORAGE_PROVISION_BAN_H
/* provision_ban: who may not sign in for a while (storage/guard.h), to be seen and lifted.  See provision.h. */
#include <stdbool.h>

#include "storage/provision.h"

struct provision_ban {
    int64_t id;
    bool of_account;      /* the name from that client; else the client, whoever it says it is */
    struct slice client;  /* IPv4 address, or IPv6 /64 */
    struct slice account; /* the login name; whether there is such an account nobody knows */
    int64_t failures;
    int64_t since_ms, until_ms; /* since: the first failure */
};

AWAITS enum db_status provision_ban_get(struct arena *arena, struct slice key, struct provision_ban *out)
    __attribute__((warn_unused_result));
/* FOUND also when it is empty. */
AWAITS enum db_status provision_ban_list(struct arena *arena, const struct provision_page *page,
                                         struct provision_ban **out, unsigned *count)
    __attribute__((warn_unused_result));
/* The failures are forgotten with it.  All nodes know within about two seconds. */
AWAITS enum db_write provision_ban_lift(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                        struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
