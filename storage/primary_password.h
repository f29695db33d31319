#ifndef STORAGE_PRIMARY_PASSWORD_H
#define STORAGE_PRIMARY_PASSWORD_H
/*
 * primary_password: the password that last worked at an account's primary, kept as our own are (storage/credential.h)
 * and marked (directory_account.password_primary).  An account that has a password of its own keeps that.
 *
 * Neither fails a login: what could not be written now is tried at the next one.
 */
#include <stdint.h>

#include "core/slice.h"
#include "core/task.h"
#include "storage/directory.h"

/* The primary has just taken it. */
AWAITS void primary_password_keep(const struct directory_account *account, struct slice password);
/* The primary does not take any more what the account's hash, as it was read, is of. */
AWAITS void primary_password_drop(const struct directory_account *account);

#endif
