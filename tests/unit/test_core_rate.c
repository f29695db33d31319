/*
 * core/rate: a minute's worth at once and no more, names and kinds apart, a table of one size that a flood of names
 * cannot use to have anybody refused, and one count for all processes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/rate.h"

static void a_minutes_worth_at_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        assert_true(rate_take(1, "192.0.2.1", 5)); /* one more every 12 seconds */
    assert_false(rate_take(1, "192.0.2.1", 5));
    assert_false(rate_take(1, "192.0.2.1", 5));
    assert_true(rate_take(2, "192.0.2.1", 5));
    assert_true(rate_take(1, "192.0.2.2", 5));
    for (unsigned i = 0; i < 100; i++)
        assert_true(rate_take(1, "192.0.2.1", 0));
}

static void it_empties(void **state)
{
    unsigned taken = 0;

    (void)state;
    while (rate_take(1, "192.0.2.3", 60000)) /* one more every millisecond */
        taken++;
    assert_true(taken >= 60000);
    usleep(5000);
    assert_true(rate_take(1, "192.0.2.3", 60000));
}

static void a_level(void **state)
{
    (void)state;
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(rate_add(3, "192.0.2.4", 3), i);
    assert_int_equal(rate_add(3, "192.0.2.4", 3), 3);
}

static void a_flood_of_names_refuses_nobody(void **state)
{
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 300000; i++) {
        snprintf(name, sizeof name, "2001:db8:%x:%x::/64", i >> 16, i & 0xffff);
        assert_true(rate_take(1, name, 1));
    }
    assert_true(rate_take(1, "192.0.2.5", 1));
    assert_false(rate_take(1, "192.0.2.5", 1));
}

static void processes_count_together(void **state)
{
    int status = 1;
    pid_t child = fork();

    (void)state;
    if (child == 0)
        _exit(!rate_take(4, "192.0.2.6", 2) || !rate_take(4, "192.0.2.6", 2));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(rate_take(4, "192.0.2.6", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minutes_worth_at_once),
        cmocka_unit_test(it_empties),
        cmocka_unit_test(a_level),
        cmocka_unit_test(a_flood_of_names_refuses_nobody),
        cmocka_unit_test(processes_count_together),
    };

    rate_share();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
