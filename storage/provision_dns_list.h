#ifndef STORAGE_PROVISION_DNS_LIST_H
#define STORAGE_PROVISION_DNS_LIST_H
/* provision_dns_list: the DNS lists (storage/dns_list.h).  See provision.h. */
#include "storage/provision.h"

struct provision_dns_list {
    int64_t id;
    struct slice zone;     /* as name_domain() makes it */
    struct slice *answers; /* as name_cidr() makes them */
    unsigned answer_count;
    int score;
    struct slice label; /* {NULL,0}: none */
    int64_t created_ms;
};

/* Given: all but id and created_ms. */
AWAITS enum db_write provision_dns_list_create(struct arena *arena, const struct provision_dns_list *list,
                                               const struct provision_actor *actor, int64_t *id,
                                               struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* key: an id in letters. */
AWAITS enum db_status provision_dns_list_get(struct arena *arena, struct slice key, struct provision_dns_list *out)
    __attribute__((warn_unused_result));
/* FOUND also when it is empty. */
AWAITS enum db_status provision_dns_list_list(struct arena *arena, const struct provision_page *page,
                                              struct provision_dns_list **out, unsigned *count)
    __attribute__((warn_unused_result));
/* Score and label. */
AWAITS enum db_write provision_dns_list_update(struct arena *arena, const struct provision_dns_list *list,
                                               const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_write provision_dns_list_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                               struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
