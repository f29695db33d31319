/*
 * loop: the process's event loop, timers and end-of-turn calls.
 *
 * Deferred calls run from one libevent event that is made active when the list becomes non-empty, so they
 * come after the events that are at hand in this turn.  A deferred call that defers again runs in the next
 * turn, never in the same: the list is taken as a whole first.
 */
#include "core/loop.h"

#include <event2/event.h>
#include <stdlib.h>

#include "core/log.h"

struct deferred {
    struct deferred *next;
    loop_fn *fn;
    void *arg;
};

static struct event_base *base;
static struct event *turn_end;
static struct deferred *first, **last = &first;

static void on_turn_end(evutil_socket_t fd, short what, void *arg)
{
    struct deferred *list = first;

    (void)fd, (void)what, (void)arg;
    first = NULL;
    last = &first;
    while (list) {
        struct deferred *d = list;

        list = d->next;
        d->fn(d->arg);
        free(d);
    }
}

void loop_init(void)
{
    base = event_base_new();
    if (!base)
        log_fatal(1, "cannot make an event loop");
    turn_end = event_new(base, -1, 0, on_turn_end, NULL);
    if (!turn_end)
        log_fatal(1, "cannot make an event");
    first = NULL;
    last = &first;
}

void loop_done(void)
{
    while (first) {
        struct deferred *d = first;

        first = d->next;
        free(d);
    }
    last = &first;
    if (turn_end)
        event_free(turn_end);
    turn_end = NULL;
    if (base)
        event_base_free(base);
    base = NULL;
}

struct event_base *loop_base(void)
{
    return base;
}

void loop_run(void)
{
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void loop_stop(void)
{
    event_base_loopbreak(base);
}

void loop_defer(loop_fn *fn, void *arg)
{
    struct deferred *d = malloc(sizeof *d);

    if (!d)
        abort();
    *d = (struct deferred){NULL, fn, arg};
    if (!first)
        event_active(turn_end, EV_TIMEOUT, 1);
    *last = d;
    last = &d->next;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct loop_timer *timer = arg;

    (void)fd, (void)what;
    timer->fn(timer->arg); /* may set or clear its own timer, or free its owner: not touched after */
}

void loop_timer_set(struct loop_timer *timer, uint64_t ms, loop_fn *fn, void *arg)
{
    struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};

    timer->fn = fn;
    timer->arg = arg;
    if (!timer->event) {
        timer->event = event_new(base, -1, 0, on_timer, timer);
        if (!timer->event)
            abort();
    }
    event_add(timer->event, &tv);
}

void loop_timer_clear(struct loop_timer *timer)
{
    if (timer->event)
        event_free(timer->event);
    timer->event = NULL;
}

bool loop_timer_is_set(const struct loop_timer *timer)
{
    return timer->event && event_pending(timer->event, EV_TIMEOUT, NULL);
}
