/*
 * health: how a primary is.
 *
 *                 GOOD                 WEAK                  FAILED               UNREACHABLE   DRAINED
 *     up          up                   degraded, at n weak   down, at n failed    down          up
 *     degraded    up, at m good        degraded              down, at n failed    down          degraded
 *     down        recovering           recovering            down                 down          up
 *     recovering  recovering           recovering            down                 down          up; degraded, at n weak
 *
 * n is down_after, m up_after, in a row; WEAK is an answer, so it ends a row of failures, and a row of successes as
 * well.
 *
 * Only the end of the outage turns recovering into up: while mail waits, the domain's readers are in the outage,
 * whatever the primary says.  In recovering one failure is a relapse; a drain that goes on has many successes a
 * second, and would forget failures faster than they come.
 *
 * UNREACHABLE does not wait for anything: mail is there, nobody takes it, and its readers are to see it now.  FAILED
 * waits: no mail is there, and a probe that fails once may be the network's hiccup; or mail was given to it, and
 * nothing said of its end, which may be what is wrong with that message, unless it happens to others as well.
 */
#include "relay/health.h"

static unsigned up_to(unsigned count, unsigned limit)
{
    return count < limit ? count + 1 : limit;
}

static struct health went_well(struct health h, const struct health_limits *limits)
{
    h.failures = h.weak = 0;
    h.successes = up_to(h.successes, limits->up_after);
    switch (h.state) {
    case HEALTH_UP:
    case HEALTH_RECOVERING: break;
    case HEALTH_DEGRADED:
        if (h.successes >= limits->up_after)
            h.state = HEALTH_UP;
        break;
    case HEALTH_DOWN: h.state = HEALTH_RECOVERING; break;
    }
    return h;
}

static struct health was_weak(struct health h, const struct health_limits *limits)
{
    h.failures = h.successes = 0;
    h.weak = up_to(h.weak, limits->down_after);
    switch (h.state) {
    case HEALTH_UP:
        if (h.weak >= limits->down_after)
            h.state = HEALTH_DEGRADED;
        break;
    case HEALTH_DEGRADED:
    case HEALTH_RECOVERING: break;
    case HEALTH_DOWN: h.state = HEALTH_RECOVERING; break;
    }
    return h;
}

static struct health failed(struct health h, const struct health_limits *limits)
{
    h.successes = h.weak = 0;
    h.failures = up_to(h.failures, limits->down_after);
    switch (h.state) {
    case HEALTH_UP:
    case HEALTH_DEGRADED:
        if (h.failures >= limits->down_after)
            h.state = HEALTH_DOWN;
        break;
    case HEALTH_DOWN: break;
    case HEALTH_RECOVERING: h.state = HEALTH_DOWN; break;
    }
    return h;
}

struct health health_next(struct health now, enum health_outcome outcome, const struct health_limits *limits)
{
    switch (outcome) {
    case HEALTH_GOOD: return went_well(now, limits);
    case HEALTH_WEAK: return was_weak(now, limits);
    case HEALTH_FAILED: return failed(now, limits);
    case HEALTH_UNREACHABLE: return (struct health){HEALTH_DOWN, up_to(now.failures, limits->down_after), 0, 0};
    case HEALTH_DRAINED: break;
    }
    if (now.state == HEALTH_DEGRADED)
        return now;
    if (now.weak >= limits->down_after)
        return (struct health){HEALTH_DEGRADED, 0, now.weak, 0};
    return (struct health){HEALTH_UP, 0, 0, now.successes};
}

bool health_equal(const struct health *a, const struct health *b)
{
    return a->state == b->state && a->failures == b->failures && a->weak == b->weak && a->successes == b->successes;
}

static const char *const words[HEALTH_STATES] = {"up", "degraded", "down", "recovering"};

const char *health_word(enum health_state state)
{
    return words[state];
}

bool health_state_of(struct slice word, enum health_state *out)
{
    for (unsigned i = 0; i < HEALTH_STATES; i++)
        if (slice_equal(word, slice_str(words[i]))) {
            *out = (enum health_state)i;
            return true;
        }
    return false;
}
