#ifndef RELAY_CONCURRENCY_H
#define RELAY_CONCURRENCY_H
/*
 * concurrency: how many connections a destination gets at once.  Pure: times are arguments, steady milliseconds.
 *
 * It begins small, grows by one with each message that is taken, and falls when the destination fails or takes no more
 * connections: a stranger's server is not met with ten connections at once, and a fast one gets what it can take.
 */
#include <stdint.h>

#define CONCURRENCY_FIRST 2
#define CONCURRENCY_CROWDED_MS 60000 /* how long it does not grow past what was found to be the other side's limit */

struct concurrency {
    unsigned limit;         /* never 0 */
    uint64_t crowded_until; /* 0: never was */
};

/* most: the configured bound, at least 1; so below. */
struct concurrency concurrency_first(unsigned most);
/* A message was taken. */
void concurrency_taken(struct concurrency *c, unsigned most, uint64_t now_ms);
/* It could not be reached, or broke off: one connection tries at a time. */
void concurrency_failed(struct concurrency *c);
/* It serves the connections that are open, and takes no more: that is its limit. */
void concurrency_crowded(struct concurrency *c, unsigned open, uint64_t now_ms);

#endif
