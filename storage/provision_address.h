#ifndef STORAGE_PROVISION_ADDRESS_H
#define STORAGE_PROVISION_ADDRESS_H
/*
 * provision_address: an address is one thing only: an account's, a further address of an account, or an expansion's.
 * For the provision_*.c that give addresses away.
 */
#include "storage/db.h"
#include "storage/provision.h"

/* First in the transaction: whoever else wants one of these addresses waits until it is over. */
void provision_address_lock(struct db_unit *unit, const struct slice *addresses, unsigned count);
/* Who has the address; 0: nobody, or it could not be asked. */
AWAITS int64_t provision_address_holder(struct arena *arena, struct slice address);

#endif
