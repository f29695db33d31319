#ifndef STORAGE_OUTAGE_AGE_H
#define STORAGE_OUTAGE_AGE_H
/*
 * outage_age: what an outage keeps waiting does not grow old.
 *
 * Mail whose lifetime is over is returned to its sender, as nobody has got it.  But what its reader has read here, and
 * perhaps answered, must not come back as undeliverable, nor what an administrator keeps waiting by a plan: a maintenance
 * window may last 30 days, a lifetime is 5.  So of a domain that has an outage
 *
 *     what is readable           does not expire while it is open
 *     all of it                  nor while it is forced down or absent by plan, whoever can read it
 *     what was accepted before   has OUTAGE_AGE_AFTER more, from its end, in which the primary may put it off
 *
 * What nobody can read in an outage that nobody has planned expires as ever: its sender is to know.
 */
#include <stdint.h>

#include "core/task.h"
#include "storage/status.h"

#define OUTAGE_AGE_AFTER "1 day"
#define OUTAGE_AGE_LOOKED                                                                                              \
    "5000" /* who looks for what is over asks about so many: of very many each second would be too often */

/* Is e, a queue entry of the current statement, such mail?  It has no end that is near. */
#define OUTAGE_AGE_STOPS(e)                                                                                            \
    " (" e ".domain_id is not null and exists (select from outage o"                                                   \
    "    where o.domain_id = " e ".domain_id and o.account_id is null"                                                 \
    "      and coalesce(o.ended_at, 'infinity') > now() - interval '" OUTAGE_AGE_AFTER "'"                             \
    "      and " e ".id < coalesce(((extract(epoch from o.ended_at) * 1000)::bigint - 1704067200000) << 22,"           \
    "                         9223372036854775807)" /* core/id.h */                                                    \
    "      and (" e ".shown or o.detection in ('forced', 'maintenance', 'drill')"                                      \
    "           or coalesce(domain_forced(" e ".cell, " e ".domain_id), '') = 'down')))"

/* Moves the ends of up to limit entries that are near; *moved: how many.  Before queue_claim_expired(), each time. */
AWAITS enum db_write outage_age_stop(const int16_t *cells, unsigned cell_count, unsigned limit, unsigned *moved)
    __attribute__((warn_unused_result));

#endif
