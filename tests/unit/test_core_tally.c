/*
 * core/tally: what is entered is counted until it leaves, names apart; processes count together, and one that is gone,
 * however, is not counted any more; a flood of names makes few numbers too high, and none too low.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/tally.h"

static void names_are_counted_apart(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(tally_enter("192.0.2.1"), i);
    assert_int_equal(tally_enter("192.0.2.2"), 1);
    tally_leave("192.0.2.1");
    assert_int_equal(tally_enter("192.0.2.1"), 3);
    for (unsigned i = 0; i < 3; i++)
        tally_leave("192.0.2.1");
    tally_leave("192.0.2.2");
    assert_int_equal(tally_enter("192.0.2.1"), 1);
    tally_leave("192.0.2.1");
}

/* A process that has entered a name twice, and waits to be killed. */
static pid_t begin(unsigned slot, const char *name)
{
    int pipes[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    if (!pid) {
        tally_use(slot);
        (void)tally_enter(name);
        (void)tally_enter(name);
        (void)!write(pipes[1], "x", 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
    close(pipes[1]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void processes_count_together(void **state)
{
    pid_t one = begin(5, "198.51.100.1"), two = begin(6, "198.51.100.1");

    (void)state;
    assert_int_equal(tally_enter("198.51.100.1"), 5);
    end(one);
    assert_int_equal(tally_enter("198.51.100.1"), 6); /* the master has not yet seen it end */
    tally_depart(5);
    assert_int_equal(tally_enter("198.51.100.1"), 5);
    end(two);
    tally_depart(6);
    one = begin(5, "198.51.100.9"); /* the place is used again, and begins with nothing */
    assert_int_equal(tally_enter("198.51.100.1"), 4);
    end(one);
    tally_depart(5);
    for (unsigned i = 0; i < 4; i++)
        tally_leave("198.51.100.1");
}

static void a_flood_of_names(void **state)
{
    char name[32];
    unsigned high = 0;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "10.%u.%u.1", i / 256, i % 256);
        high += tally_enter(name) > 1;
    }
    assert_true(high < 500);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "10.%u.%u.1", i / 256, i % 256);
        tally_leave(name);
    }
    assert_int_equal(tally_enter("10.0.0.1"), 1);
    tally_leave("10.0.0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_counted_apart),
        cmocka_unit_test(processes_count_together),
        cmocka_unit_test(a_flood_of_names),
    };

    tally_share();
    tally_use(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
