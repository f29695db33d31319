#ifndef STORAGE_INSTALLATION_H
#define STORAGE_INSTALLATION_H
/* installation: what all nodes of one installation share. */
#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

/*
 * A secret of 32 bytes, made with the schema: for answers that must be the same on every node and must not be foreseen,
 * such as the SCRAM salt of an account that does not exist.  Read once per process; the slice stays.
 */
AWAITS enum db_status installation_salt_key(struct slice *out) __attribute__((warn_unused_result));

#endif
