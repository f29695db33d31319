#ifndef STORAGE_ALLOW_H
#define STORAGE_ALLOW_H
/*
 * allow: the allow-list: clients that are not held to what is asked of strangers.  In memory (known.h), so that it can
 * be asked on the loop when a connection comes.  The write side is storage/provision_allowed.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"
#include "storage/status.h"

#define ALLOW_MAX 10000 /* networks */

/* client: its address.  customer_id: mail for that customer's domains; 0: whatever it comes for. */
bool allow_covers(const char *client, int64_t customer_id);

/* For known.c. */
AWAITS enum db_status allow_read(struct arena *arena) __attribute__((warn_unused_result));

#endif
