/*
 * process: a child is told to end when its master dies, also when that was so early that nobody could have noticed: between the
 * fork and the child's first look at its parent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/loop.h"
#include "daemon/process.h"
#include "daemon/stats.h"

#define TOLD 42
#define PATIENCE_S 20

static void on_order(enum process_order order)
{
    _exit(order == PROCESS_DRAIN ? TOLD : 1);
}

static void on_time_over(void *arg)
{
    (void)arg;
    _exit(2);
}

/* What becomes of a child that thinks that this was its master. */
static int status_of_child(pid_t master, uint64_t patience_ms)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct process_plan plan = {.slot = 0, .master = master};
        char user[] = "nobody";
        struct config config = {.user = user};
        struct loop_timer timer = {0};

        process_begin(&plan, on_order);
        process_drop_privileges(&config);
        loop_timer_set(&timer, patience_ms, on_time_over, NULL);
        loop_run();
        _exit(3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_a_master_that_died_at_once(void **state)
{
    pid_t dead = fork();

    (void)state;
    if (dead == 0)
        _exit(0);
    assert_int_equal(waitpid(dead, NULL, 0), dead);
    assert_int_equal(status_of_child(dead, PATIENCE_S * 1000), TOLD);
}

static void test_a_master_that_lives(void **state)
{
    (void)state;
    assert_int_equal(status_of_child(getpid(), 50), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_master_that_died_at_once),
        cmocka_unit_test(test_a_master_that_lives),
    };

    stats_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
