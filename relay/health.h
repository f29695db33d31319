#ifndef RELAY_HEALTH_H
#define RELAY_HEALTH_H
/*
 * health: how a primary is, by what was met there.  Pure.
 *
 * That nothing of it can be reached counts at once; everything else only when it is met several times in a row, so that
 * one slow answer, or one good one, does not turn it over.  See the table in health.c.
 */
#include <stdbool.h>

#include "core/slice.h"

enum health_state {
    HEALTH_UP,
    HEALTH_DEGRADED,   /* answers, slowly or with temporary refusals */
    HEALTH_DOWN,       /* an outage is open, or about to be */
    HEALTH_RECOVERING, /* answers again; what waited is on its way */
};
#define HEALTH_STATES 4

enum health_outcome {
    HEALTH_GOOD,
    HEALTH_WEAK,   /* it answered: slowly, or that it cannot now */
    HEALTH_FAILED, /* a probe while it was well: nothing was to be delivered; or no reply to the end of a message */
    HEALTH_UNREACHABLE, /* a delivery, or a probe in an outage: none of its hosts serves */
    HEALTH_DRAINED,     /* the outage is over: what waited is delivered */
};
#define HEALTH_OUTCOMES 5

struct health_limits {
    unsigned down_after, up_after; /* at least 1 */
};

/* In a row; they stop counting at the limits, so that what says nothing new changes nothing. */
struct health {
    enum health_state state;
    unsigned failures, weak, successes;
};

struct health health_next(struct health now, enum health_outcome outcome, const struct health_limits *limits);
bool health_equal(const struct health *a, const struct health *b);
const char *health_word(enum health_state state);
/* False: no such word. */
bool health_state_of(struct slice word, enum health_state *out) __attribute__((warn_unused_result));

#endif
