#ifndef TESTS_STORAGE_HARNESS_H
#define TESTS_STORAGE_HARNESS_H
/*
 * What the tests of storage share: a loop, a task to run in, and a database.
 *
 * POSTHOUSE_TEST_CONNINFO names a migrated, empty database that may be filled and whose backends may be killed;
 * tests/e2e/test_storage.py provides it.  Without it the programs say "skipped" (77).
 *
 * Inside a task use expect(), which returns from the function when it fails: cmocka's own assertions would jump from
 * the task's stack.
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
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/task.h"
#include "storage/db.h"
#include "storage/hint.h"

#define EXIT_SKIPPED 77
#define READY_MS 90000

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

struct harness_run {
    task_fn *fn;
    void *arg;
};

static void harness_task(void *arg)
{
    struct harness_run run = *(struct harness_run *)arg;
    uint64_t give_up = clock_steady_ms() + READY_MS;

    free(arg);
    while (!db_ready() && clock_steady_ms() < give_up)
        task_sleep(10);
    run.fn(run.arg);
    if (--running_tasks == 0)
        loop_stop();
}

/* Starts fn(arg) in a task; run_tasks() runs what was started, to the end of the last. */
static void begin_task(task_fn *fn, void *arg)
{
    struct harness_run *run = malloc(sizeof *run);

    if (!run)
        abort();
    *run = (struct harness_run){fn, arg};
    running_tasks++;
    assert_true(task_start(pool, harness_task, run));
}

static void run_tasks(void)
{
    failure[0] = '\0';
    loop_run();
    if (failure[0])
        fail_msg("%s", failure);
}

static void in_task(task_fn *fn)
{
    begin_task(fn, NULL);
    run_tasks();
}

static int harness_begin(void **state)
{
    static struct db_settings settings = {.read_connections = 1, .write_connections = 2, .statement_timeout_ms = 10000};

    (void)state;
    settings.conninfo = getenv("POSTHOUSE_TEST_CONNINFO");
    log_init("test");
    log_set_level(NULL, LOG_LEVEL_NONE);
    loop_init();
    arena = arena_new(SIZE_MAX);
    pool = task_pool_new("test", 300, 0);
    id_set_worker(1);
    db_open(&settings);
    hint_init();
    return 0;
}

static int harness_end(void **state)
{
    (void)state;
    db_close();
    task_pool_free(&pool);
    arena_free(&arena);
    loop_done();
    return 0;
}

/* One statement without results, as a transaction. */
static inline AWAITS enum db_write change(const struct db_statement *statement)
{
    struct db_unit *unit = db_unit_new(arena);

    db_unit_add(unit, statement);
    return db_unit_run(unit);
}

/* A statement that gives one number; -1 if it cannot be asked. */
static inline AWAITS int64_t number(const struct db_statement *statement)
{
    struct params params;
    struct rows *rows;

    params_init(&params, arena);
    return db_read(arena, statement, &params, &rows) == DB_FOUND ? row_int64(rows, 0, 0) : -1;
}

#endif
