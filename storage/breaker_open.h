#ifndef STORAGE_BREAKER_OPEN_H
#define STORAGE_BREAKER_OPEN_H
/* breaker_open: what the files of storage share about open breakers.  Nobody outside storage includes this. */
#include "storage/breaker.h"

struct db_unit;
/* "its sending has left its pattern: 51 messages in an hour, more than 50" */
struct slice breaker_reason(struct arena *arena, const struct breaker_trip *trip);
/* Two steps; over: only if its time is.  The second has a row if it was open. */
void breaker_close_add(struct db_unit *unit, int64_t account_id, bool learn, bool over);

#endif
