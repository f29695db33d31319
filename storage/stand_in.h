#ifndef STORAGE_STAND_IN_H
#define STORAGE_STAND_IN_H
/* stand_in: whose password hash the password for nobody's name is compared with, so that it costs what another's costs. */
#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

/*
 * Always the same account of the name's domain for the same name, on every node; which one cannot be foreseen.  What is
 * compared with it must count for nothing.  FOUND: *hash, {NULL,0} if that account has none.  NONE: the domain is not
 * ours, or has no accounts.
 */
AWAITS enum db_status stand_in_hash(struct arena *arena, struct slice name, struct slice *hash)
    __attribute__((warn_unused_result));

#endif
