#ifndef CORE_LOOP_H
#define CORE_LOOP_H
/*
 * loop: the process's one event loop (libevent), timers, and "once at the end of this turn".
 *
 * Singletons on purpose: a process has one loop.  loop_init() again after fork().
 */
#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct event;

void loop_init(void); /* fatal when libevent cannot give us a base */
void loop_done(void);
struct event_base *loop_base(void);
void loop_run(void); /* until loop_stop() */
void loop_stop(void);

typedef void loop_fn(void *arg);

/* A one-shot timer embedded in its owner.  Zero-initialised is "not set". */
struct loop_timer {
    struct event *event;
    loop_fn *fn;
    void *arg;
};
void loop_timer_set(struct loop_timer *timer, uint64_t ms, loop_fn *fn, void *arg); /* replaces */
void loop_timer_clear(struct loop_timer *timer);
bool loop_timer_is_set(const struct loop_timer *timer);

/* fn(arg) once, after the events at hand have been handled.  Used to gather (hints, group commit). */
void loop_defer(loop_fn *fn, void *arg);

#endif
