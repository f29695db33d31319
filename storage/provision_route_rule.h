#ifndef STORAGE_PROVISION_ROUTE_RULE_H
#define STORAGE_PROVISION_ROUTE_RULE_H
/* provision_route_rule: which mail takes which route (storage/route_rule.h).  See provision.h. */
#include "storage/provision.h"

struct provision_route_rule {
    int64_t id;
    int64_t customer_id;                          /* 0: everybody's mail, to recipient_domain */
    int64_t account_id;                           /* 0: not an account's */
    struct slice account;                         /* read only: its address */
    struct slice sender_domain, recipient_domain; /* as name_domain() makes them; {NULL,0}: none */
    int64_t route_id;
    struct slice route; /* read only: its name */
    int64_t created_ms;
};

/* Given: all but id, what is read only, and created_ms. */
AWAITS enum db_write provision_route_rule_create(struct arena *arena, const struct provision_route_rule *rule,
                                                 const struct provision_actor *actor, int64_t *id,
                                                 struct provision_refusal *refusal) __attribute__((warn_unused_result));
AWAITS enum db_status provision_route_rule_get(struct arena *arena, struct slice key, struct provision_route_rule *out)
    __attribute__((warn_unused_result));
/* customer_id 0: of all.  FOUND also when it is empty. */
AWAITS enum db_status provision_route_rule_list(struct arena *arena, int64_t customer_id,
                                                const struct provision_page *page, struct provision_route_rule **out,
                                                unsigned *count) __attribute__((warn_unused_result));
/* Its route. */
AWAITS enum db_write provision_route_rule_update(struct arena *arena, const struct provision_route_rule *rule,
                                                 const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_write provision_route_rule_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                                 struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
