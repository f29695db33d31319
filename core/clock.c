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

uint64_t clock_work_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
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

    snprintf(out, CLOCK_RFC3339_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, rest);
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

/* A number of so many digits at the beginning, taken off. */
static bool take_digits(struct slice *text, unsigned digits, int *out)
{
    *out = 0;
    if (text->n < digits)
        return false;
    for (unsigned i = 0; i < digits; i++) {
        if (text->p[i] < '0' || text->p[i] > '9')
            return false;
        *out = *out * 10 + (text->p[i] - '0');
    }
    *text = slice_skip(*text, digits);
    return true;
}

static bool take_letter(struct slice *text, char letter)
{
    if (!text->n || (text->p[0] | 0x20) != (letter | 0x20))
        return false;
    *text = slice_skip(*text, 1);
    return true;
}

/* time-offset = "Z" / ("+" / "-") time-hour ":" time-minute (RFC 3339 5.6) */
static bool take_zone(struct slice *text, int *minutes)
{
    int hour, minute, sign;

    *minutes = 0;
    if (take_letter(text, 'Z'))
        return text->n == 0;
    sign = text->n && text->p[0] == '-' ? -1 : text->n && text->p[0] == '+' ? 1 : 0;
    *text = slice_skip(*text, 1);
    if (!sign || !take_digits(text, 2, &hour) || !take_letter(text, ':') || !take_digits(text, 2, &minute))
        return false;
    *minutes = sign * (hour * 60 + minute);
    return hour < 24 && minute < 60 && text->n == 0;
}

static int month_length(int year, int month)
{
    return (int)(month == 12 ? 31 : clock_days(year, month + 1, 1) - clock_days(year, month, 1));
}

bool clock_parse_rfc3339(struct slice text, int64_t *ms)
{
    int year, month, day, hour, minute, second, zone, milli = 0, unit = 100;

    if (!take_digits(&text, 4, &year) || !take_letter(&text, '-') || !take_digits(&text, 2, &month) ||
        !take_letter(&text, '-') || !take_digits(&text, 2, &day) || !take_letter(&text, 'T') ||
        !take_digits(&text, 2, &hour) || !take_letter(&text, ':') || !take_digits(&text, 2, &minute) ||
        !take_letter(&text, ':') || !take_digits(&text, 2, &second))
        return false;
    if (take_letter(&text, '.')) {
        int digit;
        if (!text.n || text.p[0] < '0' || text.p[0] > '9')
            return false;
        for (; take_digits(&text, 1, &digit); unit /= 10)
            milli += digit * unit; /* beyond milliseconds unit is 0 */
    }
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > month_length(year, month) || hour > 23 ||
        minute > 59 || second > 60 || !take_zone(&text, &zone))
        return false;
    *ms = ((clock_days(year, month, day) * 24 + hour) * 60 + minute - zone) * 60000 + second * 1000 + milli;
    return true;
}
