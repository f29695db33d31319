/*
 * breaker: an account's pattern, and when its sending has left it.
 *
 *     value   what was sent in the last 60 minutes: this hour, and of the hour before the part that is not over yet
 *     usual   the busiest hour of the days before: each day's is compared with it, and they halve in 30 days
 *     limit   the policy's least number, or `factor` times the usual one, whichever is more
 *
 * The busiest hour of a day and not the average of all hours, because people send in bursts: who writes three letters
 * a day and a newsletter to 400 each Monday has an average of three an hour, and is not to be stopped each
 * Monday.  The newsletter's hour stands for weeks.  An account without a past has a usual hour of nothing, and so the
 * policy's number as its limit: that is what a young account may send.
 *
 * It learns by days, not by hours: who has stolen a password, and sends as much as he may, has the day's limit on that
 * day, however slowly he goes about it, and `factor` times it on the next.  The hours of a day on which it was opened
 * are forgotten when it is closed (storage/breaker_open.c), and nothing is counted while it is open.
 *
 * Failures are told by their number and by their share: who writes to 5,000 has 50 that are wrong on a good day.  They
 * come later than what they are about; so their share is of the last 60 minutes or of the day's busiest hour, whichever
 * is more, and is asked for only where there are enough.  What is given up after a day or more tells of what the account
 * did then, and is not counted (storage/queue_report.c): else the few of a newsletter that time out together, days
 * later, when the account sends nothing, would be all of its mail.
 *
 * Countries are counted by the day: whoever is on a journey has one more, perhaps two; a stolen account that is used by
 * many machines has many. 
 *
 * Numbers stop at BREAKER_MOST, so that nothing here can overflow.
 */
#include "relay/breaker.h"

#define DAY_HOURS 24
#define DAY_LEAVES 97716 /* of 100,000: the thirtieth root of a half */
#define DAYS_MOST 10000
#define FAILURE_SHARE 4 /* a fourth of the recipients */

static uint32_t bounded(uint64_t number)
{
    return number < BREAKER_MOST ? (uint32_t)number : BREAKER_MOST;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* What is left of it after so many days: half after thirty; rounded down, so that it comes to nothing. */
static uint32_t decayed(uint32_t number, int64_t days)
{
    while (number && days-- > 0)
        number = (uint32_t)((uint64_t)number * DAY_LEAVES / 100000);
    return number;
}

/* The hour that was goes into its day. */
static void end_hour(struct breaker_pattern *pattern, bool next)
{
    for (unsigned m = 0; m < BREAKER_HOURLY; m++) {
        pattern->day[m] = larger(pattern->day[m], pattern->now[m]);
        pattern->before[m] = next ? pattern->now[m] : 0;
        pattern->now[m] = 0;
    }
}

/* The day that was goes into what is usual. */
static void end_day(struct breaker_pattern *pattern, int64_t days)
{
    if (pattern->day[BREAKER_MESSAGES] && pattern->days < DAYS_MOST)
        pattern->days++;
    for (unsigned m = 0; m < BREAKER_HOURLY; m++) {
        pattern->usual[m] = decayed(larger(pattern->usual[m], pattern->day[m]), days);
        pattern->day[m] = 0;
    }
}

void breaker_advance(struct breaker_pattern *pattern, int64_t now_ms)
{
    int64_t hour = now_ms / BREAKER_HOUR_MS, days;

    if (hour <= pattern->hour)
        return;
    days = hour / DAY_HOURS - pattern->hour / DAY_HOURS;
    end_hour(pattern, hour == pattern->hour + 1);
    if (days > 0)
        end_day(pattern, days);
    pattern->hour = hour;
}

void breaker_add(struct breaker_pattern *pattern, const uint32_t more[BREAKER_HOURLY])
{
    for (unsigned m = 0; m < BREAKER_HOURLY; m++)
        pattern->now[m] = bounded((uint64_t)pattern->now[m] + more[m]);
}

uint32_t breaker_value(const struct breaker_pattern *pattern, enum breaker_measure measure, int64_t now_ms)
{
    int64_t into = now_ms - pattern->hour * BREAKER_HOUR_MS;
    uint64_t before = pattern->before[measure];

    if (into < 0)
        into = 0;
    if (into < BREAKER_HOUR_MS)
        before = before * (uint64_t)(BREAKER_HOUR_MS - into) / BREAKER_HOUR_MS;
    else
        before = 0;
    return bounded(pattern->now[measure] + before);
}

uint32_t breaker_limit(const struct breaker_pattern *pattern, const struct breaker_policy *policy,
                       enum breaker_measure measure)
{
    return larger(bounded(policy->least[measure]), bounded((uint64_t)pattern->usual[measure] * policy->factor));
}

static bool is_over(const struct breaker_pattern *pattern, const struct breaker_policy *policy,
                    enum breaker_measure measure, int64_t now_ms, struct breaker_trip *out)
{
    *out = (struct breaker_trip){measure, breaker_value(pattern, measure, now_ms),
                                 breaker_limit(pattern, policy, measure)};
    if (out->value <= out->limit)
        return false;
    return measure != BREAKER_FAILURES ||
           (uint64_t)out->value * FAILURE_SHARE >=
               larger(breaker_value(pattern, BREAKER_RECIPIENTS, now_ms), pattern->day[BREAKER_RECIPIENTS]);
}

bool breaker_judge(const struct breaker_pattern *pattern, const struct breaker_policy *policy, unsigned countries,
                   int64_t now_ms, struct breaker_trip *out)
{
    if (!policy->enabled)
        return false;
    for (unsigned m = 0; m < BREAKER_HOURLY; m++)
        if (is_over(pattern, policy, (enum breaker_measure)m, now_ms, out))
            return true;
    *out = (struct breaker_trip){BREAKER_COUNTRIES, bounded(countries), bounded(policy->countries)};
    return out->value > out->limit;
}
