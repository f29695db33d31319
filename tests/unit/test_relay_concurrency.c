/*
 * concurrency: grows with success up to its bound, falls with failure, and does not ask twice in a minute what the other
 * side has shown to be its limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/concurrency.h"

static void test_grows_to_the_bound_and_no_further(void **state)
{
    struct concurrency c = concurrency_first(20);

    (void)state;
    assert_int_equal(c.limit, CONCURRENCY_FIRST);
    for (unsigned i = 0; i < 100; i++)
        concurrency_taken(&c, 20, 0);
    assert_int_equal(c.limit, 20);
    concurrency_taken(&c, 10,
                      0); /* the bound was lowered meanwhile: it is not raised, and falls with the next failure */
    assert_int_equal(c.limit, 20);
}

static void test_a_bound_of_one_is_kept(void **state)
{
    struct concurrency c = concurrency_first(1);

    (void)state;
    assert_int_equal(c.limit, 1);
    concurrency_failed(&c);
    concurrency_taken(&c, 1, 0);
    assert_int_equal(c.limit, 1);
}

static void test_falls_to_one_and_grows_again(void **state)
{
    struct concurrency c = {17, 0};

    (void)state;
    concurrency_failed(&c);
    assert_int_equal(c.limit, 1);
    concurrency_taken(&c, 20, 5);
    assert_int_equal(c.limit, 2);
}

static void test_the_other_sides_limit_is_kept_for_a_minute(void **state)
{
    struct concurrency c = {12, 0};

    (void)state;
    concurrency_crowded(&c, 4, 1000);
    assert_int_equal(c.limit, 4);
    concurrency_taken(&c, 20, 1000 + CONCURRENCY_CROWDED_MS - 1);
    assert_int_equal(c.limit, 4);
    concurrency_taken(&c, 20, 1000 + CONCURRENCY_CROWDED_MS);
    assert_int_equal(c.limit, 5);
    concurrency_crowded(&c, 0, 2000);
    assert_int_equal(c.limit, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_to_the_bound_and_no_further),
        cmocka_unit_test(test_a_bound_of_one_is_kept),
        cmocka_unit_test(test_falls_to_one_and_grows_again),
        cmocka_unit_test(test_the_other_sides_limit_is_kept_for_a_minute),
    };

    return cmocka_run_group_tests_name("relay/concurrency", tests, NULL, NULL);
}
