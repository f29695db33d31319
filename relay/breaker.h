#ifndef RELAY_BREAKER_H
#define RELAY_BREAKER_H
/*
 * breaker: has an account's sending left its own pattern?  Pure.
 *
 * The pattern (storage/breaker.h) is what an account has sent in this hour and the one before, in the busiest hour of
 * this day, and in the busiest hour of the days before, of which the older count less.  All numbers are bounded.
 */
#include <stdbool.h>
#include <stdint.h>

#include "storage/breaker.h"

#define BREAKER_HOUR_MS (INT64_C(60) * 60 * 1000)

/* Moves the pattern on to the hour of now_ms; a clock that went back changes nothing. */
void breaker_advance(struct breaker_pattern *pattern, int64_t now_ms);
/* Counts, after breaker_advance(). */
void breaker_add(struct breaker_pattern *pattern, const uint32_t more[BREAKER_HOURLY]);
/* Of the last 60 minutes, as far as hours tell: of the hour before counts the part that is not over. */
uint32_t breaker_value(const struct breaker_pattern *pattern, enum breaker_measure measure, int64_t now_ms);
/* Which it must not be over. */
uint32_t breaker_limit(const struct breaker_pattern *pattern, const struct breaker_policy *policy,
                       enum breaker_measure measure);

/*
 * True: it is to be opened, and *out says why.  pattern is advanced; countries: how many it was not known to send from,
 * and has sent from today.
 */
bool breaker_judge(const struct breaker_pattern *pattern, const struct breaker_policy *policy, unsigned countries,
                   int64_t now_ms, struct breaker_trip *out);

#endif
