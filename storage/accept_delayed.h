#ifndef STORAGE_ACCEPT_DELAYED_H
#define STORAGE_ACCEPT_DELAYED_H
/* accept_delayed: queue entries whose delay is told of, marked in the transaction that accepts the notice. */
#include "storage/accept.h"

struct db_unit;

/* Adds a step for each kind of delay that any of the messages tells of. */
void accept_delayed_add(struct arena *arena, struct accept_message *const *messages, unsigned count,
                        struct db_unit *unit);

#endif
