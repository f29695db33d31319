#ifndef STORAGE_CREDENTIAL_UPGRADE_H
#define STORAGE_CREDENTIAL_UPGRADE_H
/*
 * credential_upgrade: a hash of another system, and missing SCRAM keys, are replaced at a login that proved the
 * password.
 *
 * Never fails a login: what could not be written now is tried at the next one.
 */
#include "core/task.h"
#include "storage/directory.h"

/* account: as it was read, with its secrets; password: just verified against them.  Nothing to do: costs nothing. */
AWAITS void credential_upgrade(const struct directory_account *account, struct slice password);

#endif
