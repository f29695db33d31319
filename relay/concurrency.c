/*
 * concurrency: the limit of connections of one destination, moved by what happens.
 *
 * Growth is additive and a failure takes it back to one, as a failure is one of the connection, not of a message: a
 * recipient who is unknown, or greylisted, says nothing of how many connections a server can take.  What a server says
 * by taking some connections and no more is kept for a minute, or each message would ask it again.
 */
#include "relay/concurrency.h"

struct concurrency concurrency_first(unsigned most)
{
    return (struct concurrency){most < CONCURRENCY_FIRST ? most : CONCURRENCY_FIRST, 0};
}

void concurrency_taken(struct concurrency *c, unsigned most, uint64_t now_ms)
{
    if (c->limit < most && now_ms >= c->crowded_until)
        c->limit++;
}

void concurrency_failed(struct concurrency *c)
{
    c->limit = 1;
}

void concurrency_crowded(struct concurrency *c, unsigned open, uint64_t now_ms)
{
    c->limit = open ? open : 1;
    c->crowded_until = now_ms + CONCURRENCY_CROWDED_MS;
}
