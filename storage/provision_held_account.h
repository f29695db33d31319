#ifndef STORAGE_PROVISION_HELD_ACCOUNT_H
#define STORAGE_PROVISION_HELD_ACCOUNT_H
/* provision_held_account: held accounts as administrators make and end them.  See provision.h, held_account.h. */
#include "storage/held_account.h"
#include "storage/provision.h"

/* TAKEN: it is held already. */
AWAITS enum db_write provision_held_account_create(struct arena *arena, const struct held_account *held,
                                                   const struct provision_actor *actor,
                                                   struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_status provision_held_account_get(struct arena *arena, int64_t account_id, struct held_account *out)
    __attribute__((warn_unused_result));
/* page->after is an account's id. */
AWAITS enum db_status provision_held_account_list(struct arena *arena, const struct provision_page *page,
                                                  struct held_account **out, unsigned *count)
    __attribute__((warn_unused_result));
/* What is held stays so. */
AWAITS enum db_write provision_held_account_end(struct arena *arena, int64_t account_id,
                                                const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
