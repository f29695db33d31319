#ifndef CORE_TASK_H
#define CORE_TASK_H
/*
 * task: straight-line code that may wait, on a stack borrowed from a bounded pool.
 *
 * The eight rules (doc/DESIGN.md, "The life of a session"), shortened:
 *   1. A task waits only for what we cap (database, DNS, next hop), never for a front-end client.
 *   2. One task per session at a time.   3. No cancellation: it runs to its bounded end.
 *   4. Across a wait hold only your session, your arenas and values.  A function that may wait is
 *      marked AWAITS.   5. A full pool queues; past its limit task_start() says false: 421.
 *   6. Each wait records file and line; SIGUSR1 logs every sleeper (task_dump).
 *   7. What is ugly is in task.c.   8. Nothing that blocks (getaddrinfo, NSS, PAM) in a task.
 *
 * One process, one loop, one thread runs tasks.  Waking is never re-entrant: a woken task continues
 * in a later step of the loop, so the waker's own state is settled by then.
 */
#include <stdbool.h>
#include <stdint.h>

/* Says of a function: it may suspend the calling task.  Must not be called outside a task. */
#define AWAITS

struct task_pool;

typedef void task_fn(void *arg);

/* stacks: how many tasks at once; queue: how many more may wait for a stack. */
struct task_pool *task_pool_new(const char *name, unsigned stacks, unsigned queue);
/* Only when no task of the pool is alive (asserted). */
void task_pool_free(struct task_pool **pool);
unsigned task_pool_busy(const struct task_pool *pool);
unsigned task_pool_queued(const struct task_pool *pool);

/* Runs fn(arg) as soon as a stack is free, never before this returns.  False: queue full, fn will not run. */
bool task_start(struct task_pool *pool, task_fn *fn, void *arg) __attribute__((warn_unused_result));

/*
 * One thing to wait for.  Lives on the waiting task's stack or in its session; TASK_WAIT_INIT first.
 * task_wake() may come before task_wait(): then the wait returns at once.
 */
struct task_wait {
    struct task *task;
    bool woken;
};
#define TASK_WAIT_INIT                                                                                                 \
    {                                                                                                                  \
        0                                                                                                              \
    }

void task_wait_at(struct task_wait *wait, const char *file, int line);
#define task_wait(wait) AWAITS task_wait_at((wait), __FILE__, __LINE__)
void task_wake(struct task_wait *wait);

/* Sleeps at least that long. */
void task_sleep_at(uint64_t ms, const char *file, int line);
#define task_sleep(ms) AWAITS task_sleep_at((ms), __FILE__, __LINE__)

/* Logs one line per sleeping task: pool, where it sleeps, for how long; and one per pool: how deep its stacks were used. */
void task_dump(void);

/* In bytes, over all tasks that have ended; costs a scan of the free stacks. */
unsigned task_stack_high_water(const struct task_pool *pool);

#endif
