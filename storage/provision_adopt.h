#ifndef STORAGE_PROVISION_ADOPT_H
#define STORAGE_PROVISION_ADOPT_H
/* provision_adopt: mail that waits for a new account's addresses becomes its mail.  Inside storage only. */
#include <stdint.h>

struct db_unit;

/*
 * A step behind those that insert the accounts, of one cell, and their aliases.  Ids that are no account's are passed
 * over, and so is what is not an account of a relay domain.
 */
void provision_adopt_add(struct db_unit *unit, const int64_t *account_ids, unsigned count);

#endif
