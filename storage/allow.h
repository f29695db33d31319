#ifndef STORAGE_ALLOW_H
#define STORAGE_ALLOW_H
/*
 * allow: the allow-list: clients that are not held to what is asked of strangers.  In memory, so that it can be asked on the loop
 * when a connection comes.  The write side is storage/provision_allowed.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/task.h"
#include "storage/status.h"

#define ALLOW_MAX 10000 /* networks */

/* Reads the list if it is another one than is known.  FAILED: what is known stays. */
AWAITS enum db_status allow_refresh(void) __attribute__((warn_unused_result));
/* A task of the worker's: what is known is about a second old at most, while the database can be asked. */
AWAITS void allow_refresh_for_ever(void *unused);

/* client: its address.  customer_id: mail for that customer's domains; 0: whatever it comes for. */
bool allow_covers(const char *client, int64_t customer_id);

#endif
