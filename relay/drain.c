/*
 * drain: how fast a queue is emptied into a server that was away.
 *
 * A server that comes back is at its weakest: cold caches, a queue of its own, everybody else's mail as well.  One
 * connection is as fast as it answers, which paces by itself; more are added only while it shows that it can take them.
 *
 * Answers are looked at in windows, a few for each connection, as single ones say little:
 *
 *     more than one in ten was put off       half as many connections
 *     they took twice as long as at best     half as many
 *     else                                   one more
 *
 * The best is the mean of the quickest window.  It rises, by an eighth for each window that was slower, only while
 * there is a single connection: then we are not what makes it slow.  So one lucky window does not hold the rest back for
 * ever, and a server that has become slower for good is judged by what it is.  (A best that always rises a little follows
 * the load that we make, up to the bound.)
 * Times below SLACK_MS are noise.
 *
 * relay/concurrency.h is the same thing for quiet times, where success alone is asked for.  Rejected: a rate (messages a
 * second) to be set or found: it is the server's concurrency that hurts it, and a rate that is right at night is wrong at
 * nine in the morning.
 */
#include "relay/drain.h"

#define WINDOW_PER_CONNECTION 4
#define WINDOW_LEAST 8
#define SLACK_MS 20
#define UNIT 16 /* best is in 1/UNIT ms */
#define FORGETTING 8

struct drain drain_begin(enum drain_pace pace, unsigned most)
{
    return (struct drain){.pace = pace, .limit = pace == DRAIN_FAST ? most : 1};
}

void drain_repace(struct drain *drain, enum drain_pace pace, unsigned most)
{
    if (drain->pace == pace)
        return;
    drain->pace = pace;
    if (pace == DRAIN_FAST)
        drain->limit = most;
}

static bool is_slow(struct drain *drain)
{
    uint64_t mean = drain->sum_ms * UNIT / (drain->answers - drain->put_off);
    bool slow = drain->best && mean > 2 * (uint64_t)drain->best + SLACK_MS * UNIT;

    if (!drain->best || mean < drain->best)
        drain->best = mean < UINT32_MAX ? (uint32_t)mean + 1 : UINT32_MAX;
    else if (drain->limit == 1 && drain->best < UINT32_MAX / 2)
        drain->best += drain->best / FORGETTING + 1;
    return slow;
}

void drain_answered(struct drain *drain, unsigned most, unsigned ms, bool put_off)
{
    unsigned window = drain->limit * WINDOW_PER_CONNECTION;

    drain->seen++;
    drain->answers++;
    drain->put_off += put_off;
    drain->sum_ms += put_off ? 0 : ms;
    if (drain->answers < window || drain->answers < WINDOW_LEAST)
        return;
    bool slow = drain->put_off < drain->answers && is_slow(drain) && drain->pace == DRAIN_MEASURED;
    if (slow || drain->put_off * 10 > drain->answers)
        drain->limit = drain->limit > 1 ? drain->limit / 2 : 1;
    else if (drain->limit < most)
        drain->limit++;
    if (drain->limit > most)
        drain->limit = most;
    drain->answers = drain->put_off = 0;
    drain->sum_ms = 0;
}
