#ifndef TESTS_UNIT_IN_TASK_H
#define TESTS_UNIT_IN_TASK_H
/*
 * What the tests of functions that wait share: a loop, a pool of tasks, and the hashing threads.
 *
 * In a task use expect(), which returns from the function when it fails: cmocka's own assertions would jump away from
 * the task's stack.  The first failure is reported by run_tasks(), on the main stack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/offload.h"
#include "core/task.h"

static struct arena *arena;
static struct task_pool *pool;
static unsigned running_tasks;
static char failure[300];

#define expect(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            if (!failure[0])                                                                                           \
                snprintf(failure, sizeof failure, "%s:%d: %s", __FILE__, __LINE__, #condition);                        \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

struct in_task_run {
    task_fn *fn;
    void *arg;
};

static void in_task_main(void *arg)
{
    struct in_task_run run = *(struct in_task_run *)arg;

    free(arg);
    run.fn(run.arg);
    if (--running_tasks == 0)
        loop_stop();
}

/* Starts fn(arg) in a task; run_tasks() runs what was started, to the end of the last. */
static void begin_task(task_fn *fn, void *arg)
{
    struct in_task_run *run = malloc(sizeof *run);

    if (!run)
        abort();
    *run = (struct in_task_run){fn, arg};
    running_tasks++;
    assert_true(task_start(pool, in_task_main, run));
}

static void run_tasks(void)
{
    failure[0] = '\0';
    loop_run();
    if (failure[0])
        fail_msg("%s", failure);
}

static inline void in_task(task_fn *fn)
{
    begin_task(fn, NULL);
    run_tasks();
}

static void in_task_begin(unsigned threads)
{
    log_init("test");
    log_set_level(NULL, LOG_LEVEL_NONE);
    loop_init();
    arena = arena_new(SIZE_MAX);
    pool = task_pool_new("test", 64, 64);
    offload_init(threads);
}

static void in_task_end(void)
{
    offload_done();
    task_pool_free(&pool);
    arena_free(&arena);
    loop_done();
}

#endif
