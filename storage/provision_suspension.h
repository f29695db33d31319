#ifndef STORAGE_PROVISION_SUSPENSION_H
#define STORAGE_PROVISION_SUSPENSION_H
/* provision_suspension: suspensions as administrators make and end them.  See provision.h, suspension.h. */
#include "storage/provision.h"
#include "storage/suspension.h"

/* id comes out.  TAKEN: there is one for that already. */
AWAITS enum db_write provision_suspension_create(struct arena *arena, struct suspension *suspension,
                                                 const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_status provision_suspension_get(struct arena *arena, int64_t id, struct suspension *out)
    __attribute__((warn_unused_result));
/* Those that are not over. */
AWAITS enum db_status provision_suspension_list(struct arena *arena, const struct provision_page *page,
                                                struct suspension **out, unsigned *count)
    __attribute__((warn_unused_result));
/* What it held goes on within about two seconds. */
AWAITS enum db_write provision_suspension_end(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                              struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
