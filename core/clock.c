/*
 * clock: wall time, steady time, and dates as text.
 *
 * Dates are always written in UTC ("+0000", "Z"): a mail relay's local zone tells a reader nothing, and
 * strftime's names depend on a locale.  gmtime_r() needs neither locale nor zone files.
 */
#include "core/clock.h"

#include <stdio.h>
#include <time.h>

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

int64_t clock_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t clock_steady_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Floors, so that times before 1970 (a hostile INTERNALDATE) have milliseconds in 0..999 too. */
static struct tm clock_split(int64_t ms, int *rest)
{
    int64_t seconds = ms / 1000;
    struct tm tm = {0};
    time_t t;

    *rest = (int)(ms % 1000);
    if (*rest < 0) {
        *rest += 1000;
        seconds--;
    }
    t = (time_t)seconds;
    gmtime_r(&t, &tm);
    return tm;
}

char *clock_rfc5322(int64_t ms, char out[CLOCK_RFC5322_SIZE])
{
    int rest;
    struct tm tm = clock_split(ms, &rest);

    snprintf(out, CLOCK_RFC5322_SIZE, "%s, %02d %s %04d %02d:%02d:%02d +0000", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return out;
}

char *clock_rfc3339(int64_t ms, char out[CLOCK_RFC3339_SIZE])
{
    int rest;
    struct tm tm = clock_split(ms, &rest);

    snprintf(out, CLOCK_RFC3339_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (tm.tm_year + 1900) % 10000,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, rest);
    return out;
}

char *clock_imap(int64_t ms, char out[CLOCK_IMAP_SIZE])
{
    int rest;
    struct tm tm = clock_split(ms, &rest);

    snprintf(out, CLOCK_IMAP_SIZE, "%2d-%s-%04d %02d:%02d:%02d +0000", tm.tm_mday, months[tm.tm_mon],
             (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return out;
}

/* Days from civil: years begin in March, so that the leap day is the last. */
int64_t clock_days(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + doe - 719468;
}
