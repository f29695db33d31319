#ifndef STORAGE_CLIENT_POLICY_H
#define STORAGE_CLIENT_POLICY_H
/*
 * client_policy: what is asked of strangers who bring mail for a domain.  The most specific policy holds, whole: the
 * domain's own, else its customer's, else that of all.  The write side is storage/provision_policy.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"
#include "storage/status.h"

enum client_policy_name { CLIENT_POLICY_NAME_IGNORE, CLIENT_POLICY_NAME_SCORE, CLIENT_POLICY_NAME_REQUIRE };
enum client_policy_greylist {
    CLIENT_POLICY_GREYLIST_NEVER,
    CLIENT_POLICY_GREYLIST_SUSPECTS,
    CLIENT_POLICY_GREYLIST_ALWAYS
};

struct client_policy {
    int64_t id;
    bool refuses; /* from refuse_at on */
    int refuse_at;
    enum client_policy_name reverse_name;
    int reverse_score; /* of a client without a confirmed name */
    enum client_policy_greylist greylist;
    int greylist_at; /* suspects: from there on */
    unsigned greylist_delay_s, greylist_passes;
};

AWAITS enum db_status client_policy_find(struct arena *arena, int64_t domain_id, int64_t customer_id,
                                         struct client_policy *out) __attribute__((warn_unused_result));

/* What any of them asks for, in memory (known.h): what nobody asks for is not looked up. */
struct client_policy_use {
    bool any, scores, names;
};
const struct client_policy_use *client_policy_use(void);
/* For known.c. */
AWAITS enum db_status client_policy_read(struct arena *arena) __attribute__((warn_unused_result));

#endif
