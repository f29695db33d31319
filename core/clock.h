#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H
/* clock: wall time and steady time in milliseconds, and the date forms that mail and the API use. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/slice.h"

int64_t clock_now_ms(void);     /* since 1970, UTC; may jump */
uint64_t clock_steady_ms(void); /* never goes back; for timeouts and durations */
uint64_t clock_work_ms(void);   /* that this thread has computed for; not while others had the processor */

#define CLOCK_RFC5322_SIZE 80 /* "Mon, 23 Nov 2026 20:25:14 +0000" */
#define CLOCK_RFC3339_SIZE 80 /* "2026-11-23T20:25:14.123Z" */
#define CLOCK_IMAP_SIZE 80    /* "23-Nov-2026 20:25:14 +0000" (RFC 3501 date-time, unquoted) */
char *clock_rfc5322(int64_t ms, char out[CLOCK_RFC5322_SIZE]);
char *clock_rfc3339(int64_t ms, char out[CLOCK_RFC3339_SIZE]);
char *clock_imap(int64_t ms, char out[CLOCK_IMAP_SIZE]);

/* RFC 3339 date-time with its zone ("2026-11-23T20:25:14Z", "2026-11-23t21:25:14.5+01:00"), years 1970 to 9999. */
bool clock_parse_rfc3339(struct slice text, int64_t *ms);

/* Days since 1970 for a calendar date (proleptic Gregorian; month 1-12). */
int64_t clock_days(int year, int month, int day);

#endif
