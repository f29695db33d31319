#ifndef STORAGE_ACCEPT_WAITING_H
#define STORAGE_ACCEPT_WAITING_H
/* accept_waiting: sees to it that entries which are accepted waiting, in nobody's memory, are looked for. */
#include "storage/accept.h"

struct db_unit;

/* Adds its steps, if any of the messages has such an entry. */
void accept_waiting_add(struct arena *arena, struct accept_message *const *messages, unsigned count,
                        struct db_unit *unit);

#endif
