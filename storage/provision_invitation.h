#ifndef STORAGE_PROVISION_INVITATION_H
#define STORAGE_PROVISION_INVITATION_H
/*
 * provision_invitation: a secret that its holder sets an account's password with, once, until some time.  An account
 * has one at most: a new one takes its place.  See provision.h.
 */
#include <stdbool.h>

#include "core/secret.h"
#include "storage/provision.h"

#define PROVISION_INVITATION_TEXT_SIZE 65 /* 64 letters, NUL */

struct provision_invitation {
    int64_t id, account_id;
    struct slice address; /* the account's */
    int64_t created_ms, expires_ms;
    char *text; /* of a new one: the secret, in the arena, to be wiped with it; else NULL */
};

/* The caller's list has account_id and expires_ms; id and text are filled in.  GONE: one of the accounts. */
AWAITS enum db_write provision_invitation_create(struct arena *arena, struct provision_invitation *list, unsigned count,
                                                 const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* The next accounts of the domain that have no password; state: only those in it, {NULL,0}: that may sign in. */
AWAITS enum db_status provision_invitation_wanted(struct arena *arena, int64_t domain_id, struct slice state,
                                                  const struct provision_page *page, struct provision_invitation **out,
                                                  unsigned *count) __attribute__((warn_unused_result));
/* Those that are not over; FOUND also when there is none. */
AWAITS enum db_status provision_invitation_list(struct arena *arena, int64_t account_id,
                                                const struct provision_page *page, struct provision_invitation **out,
                                                unsigned *count) __attribute__((warn_unused_result));
AWAITS enum db_write provision_invitation_delete(struct arena *arena, int64_t account_id, struct slice key,
                                                 const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

/* Whose is it?  NONE: nobody's, it is over or used, or its account may not sign in. */
AWAITS enum db_status provision_invitation_find(struct arena *arena, struct slice text, struct slice *address)
    __attribute__((warn_unused_result));
/* REFUSED, GONE: by now it is as if it had not been there.  INVALID: the password cannot be stored. */
AWAITS enum db_write provision_invitation_use(struct arena *arena, struct slice text, struct slice password,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
