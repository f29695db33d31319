#ifndef STORAGE_ACCEPT_USAGE_H
#define STORAGE_ACCEPT_USAGE_H
/* accept_usage: counts what relay grants with limits were used for, in the transaction that accepts the messages. */
#include "storage/accept.h"

struct db_unit;

/* Adds a step, if any of the messages has usage to be counted. */
void accept_usage_add(struct arena *arena, struct accept_message *const *messages, unsigned count,
                      struct db_unit *unit);

#endif
