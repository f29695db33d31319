#ifndef STORAGE_BREAKER_OPEN_H
#define STORAGE_BREAKER_OPEN_H
/* breaker_open: what the files of storage share about open breakers.  Nobody outside storage includes this. */
#include "storage/breaker.h"

struct db_unit;
/* "its sending has left its pattern: 51 messages in an hour, more than 50" */
struct slice breaker_reason(struct arena *arena, const struct breaker_trip *trip);
/* Two steps; over: only if its time is.  The second has a row if it was open. */
void breaker_close_add(struct db_unit *unit, int64_t account_id, bool learn, bool over);

/* One step: the countries that are new today are its own. */
void breaker_country_own_add(struct db_unit *unit, int64_t account_id);

/* How many are new today to the account a: without the first, if there was none before. */
#define BREAKER_NEW_COUNTRIES                                                                                          \
    "(select greatest(count(*) filter (where c.first_on >= (now() at time zone 'UTC')::date)"                          \
    "                 - case when bool_or(c.first_on < (now() at time zone 'UTC')::date) then 0 else 1 end, 0)"        \
    "   from breaker_country c where c.cell = a.cell and c.account_id = a.id"                                          \
    "    and c.last_on >= (now() at time zone 'UTC')::date - 90)"

#endif
