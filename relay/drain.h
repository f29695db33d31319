#ifndef RELAY_DRAIN_H
#define RELAY_DRAIN_H
/*
 * drain: how many connections a primary gets that has just come back and has much waiting for it.  Pure.
 *
 * It begins with one.  What the primary says of its health is how long it takes to answer to a whole message, and how
 * much it puts off (4xx): while neither grows, it gets one connection more at a time.
 */
#include <stdbool.h>
#include <stdint.h>

enum drain_pace {
    DRAIN_MEASURED,
    DRAIN_FAST, /* by request: all connections at once, whatever it takes to answer; what it puts off counts still */
};

struct drain {
    enum drain_pace pace;
    unsigned limit; /* of connections now; never 0 */
    uint32_t best;  /* the quickest that it was, in 1/16 ms; 0: nothing is known */
    unsigned seen;  /* answers since it began */
    unsigned answers, put_off;
    uint64_t sum_ms; /* of the answers, but those that put off, since limit was last thought about */
};

/* most: the configured bound, at least 1; so below. */
struct drain drain_begin(enum drain_pace pace, unsigned most);
/* The other pace from now on; what is known of the primary stays. */
void drain_repace(struct drain *drain, enum drain_pace pace, unsigned most);
/* A message was answered, its slowest reply after so long; put_off: for some recipient by a 4xx, and ms does not count. */
void drain_answered(struct drain *drain, unsigned most, unsigned ms, bool put_off);

#endif
