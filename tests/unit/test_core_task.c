/* task: order, waking before waiting, full pools, context per task, stacks given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/task.h"

static char trace[64];
static unsigned length;

static void note(char c)
{
    trace[length++] = c;
    trace[length] = '\0';
}

static int setup(void **state)
{
    (void)state;
    loop_init();
    length = 0;
    trace[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_done();
    return 0;
}

static void stop_soon(void *arg)
{
    (void)arg;
    loop_stop();
}

static struct task_wait gate;

static void waiter(void *arg)
{
    (void)arg;
    note('a');
    task_wait(&gate);
    note('c');
    loop_defer(stop_soon, NULL);
}

static void waker(void *arg)
{
    (void)arg;
    task_wake(&gate);
    task_wake(&gate); /* twice is once */
    note('b');
}

static void test_a_woken_task_runs_after_its_waker(void **state)
{
    struct task_pool *pool = task_pool_new("t", 4, 0);

    (void)state;
    assert_true(task_start(pool, waiter, NULL));
    assert_true(task_start(pool, waker, NULL));
    assert_string_equal(trace, ""); /* nothing runs before task_start() has returned */
    loop_run();
    assert_string_equal(trace, "abc");
    assert_int_equal(task_pool_busy(pool), 0);
    task_pool_free(&pool);
}

static void early(void *arg)
{
    struct task_wait wait = TASK_WAIT_INIT;

    (void)arg;
    task_wake(&wait);
    task_wait(&wait); /* returns at once */
    note('x');
    task_wake(&wait);
    task_wait(&wait); /* and may be used again */
    note('y');
    loop_defer(stop_soon, NULL);
}

static void test_waking_before_waiting(void **state)
{
    struct task_pool *pool = task_pool_new("t", 1, 0);

    (void)state;
    assert_true(task_start(pool, early, NULL));
    loop_run();
    assert_string_equal(trace, "xy");
    task_pool_free(&pool);
}

static void counted(void *arg)
{
    unsigned *left = arg;

    task_sleep(1);
    note('1');
    if (--*left == 0)
        loop_defer(stop_soon, NULL);
}

static void test_a_full_pool_queues_then_refuses(void **state)
{
    struct task_pool *pool = task_pool_new("t", 2, 3);
    unsigned left = 5;

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        assert_true(task_start(pool, counted, &left));
    assert_false(task_start(pool, counted, &left));
    assert_int_equal(task_pool_busy(pool), 2);
    assert_int_equal(task_pool_queued(pool), 3);
    loop_run();
    assert_string_equal(trace, "11111");
    assert_int_equal(task_pool_queued(pool), 0);
    task_pool_free(&pool);
}

static const struct log_context contexts[2] = {{1, "one"}, {2, "two"}};
static unsigned contexts_left;

static void keeps_context(void *arg)
{
    log_set_context(arg);
    for (unsigned i = 0; i < 5; i++) {
        task_sleep(1);
        assert_ptr_equal(log_context(), arg);
    }
    if (--contexts_left == 0)
        loop_defer(stop_soon, NULL);
}

static void test_the_log_context_travels_with_the_task(void **state)
{
    struct task_pool *pool = task_pool_new("t", 2, 0);

    (void)state;
    contexts_left = 2;
    log_set_context(NULL);
    assert_true(task_start(pool, keeps_context, (void *)&contexts[0]));
    assert_true(task_start(pool, keeps_context, (void *)&contexts[1]));
    loop_run();
    assert_null(log_context());
    task_pool_free(&pool);
}

static unsigned deep(unsigned n)
{
    volatile char frame[512];

    frame[0] = (char)n;
    return n ? deep(n - 1) + (unsigned)frame[0] : 0;
}

static void goes_deep(void *arg)
{
    (void)arg;
    deep(32);
    loop_defer(stop_soon, NULL);
}

static void test_the_high_water_mark_sees_depth(void **state)
{
    struct task_pool *pool = task_pool_new("t", 1, 0);

    (void)state;
    assert_true(task_start(pool, goes_deep, NULL));
    loop_run();
    assert_true(task_stack_high_water(pool) >= 32 * 512);
    task_pool_free(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_woken_task_runs_after_its_waker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waking_before_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_pool_queues_then_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_log_context_travels_with_the_task, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_high_water_mark_sees_depth, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
