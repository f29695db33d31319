/*
 * drain: a primary that has come back gets more connections while it answers as quickly as at first and puts nothing
 * off, and fewer when it does not; held against a server that is simulated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/drain.h"

#define MOST 20

static void answers(struct drain *d, unsigned count, unsigned ms, unsigned one_put_off_in)
{
    for (unsigned i = 1; i <= count; i++)
        drain_answered(d, MOST, ms, one_put_off_in && i % one_put_off_in == 0);
}

/* One that serves `able` messages at once as quickly as one, and more of them the slower. */
static void serve(struct drain *d, unsigned able, unsigned ms, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++)
        drain_answered(d, MOST, d->limit <= able ? ms : ms * d->limit / able, false);
}

static void test_begins_with_one_and_grows_to_the_bound(void **state)
{
    struct drain d = drain_begin(DRAIN_MEASURED, MOST);

    (void)state;
    assert_int_equal(d.limit, 1);
    answers(&d, 7, 50, 0);
    assert_int_equal(d.limit, 1);
    answers(&d, 1, 50, 0);
    assert_int_equal(d.limit, 2);
    answers(&d, 5000, 50, 0);
    assert_int_equal(d.limit, MOST);
    assert_int_equal(drain_begin(DRAIN_MEASURED, 1).limit, 1);
}

static void test_one_that_puts_off_gets_half(void **state)
{
    struct drain d = drain_begin(DRAIN_FAST, MOST);

    (void)state;
    assert_int_equal(d.limit, MOST);
    answers(&d, 4 * MOST, 10, 10); /* one in ten is what any server does */
    assert_int_equal(d.limit, MOST);
    answers(&d, 4 * MOST, 10, 5);
    assert_int_equal(d.limit, MOST / 2);
    answers(&d, 1000, 10, 2);
    assert_int_equal(d.limit, 1);
    answers(&d, 5000, 10, 0);
    assert_int_equal(d.limit, MOST);
}

static void test_a_server_gets_about_what_it_can_serve(void **state)
{
    (void)state;
    for (unsigned able = 1; able <= MOST; able++) {
        struct drain d = drain_begin(DRAIN_MEASURED, MOST);
        unsigned least = MOST, most = 0;

        serve(&d, able, 100, 4000);
        for (unsigned i = 0; i < 4000; i++) {
            serve(&d, able, 100, 1);
            least = d.limit < least ? d.limit : least;
            most = d.limit > most ? d.limit : most;
        }
        assert_true(least * 2 >= able);
        assert_true(most <= 3 * able + 1);
    }
}

static void test_fast_does_not_ask_how_long_it_takes(void **state)
{
    struct drain d = drain_begin(DRAIN_MEASURED, MOST);

    (void)state;
    answers(&d, 40, 10, 0);
    answers(&d, 40, 1000, 0);
    unsigned slowed = d.limit;
    assert_true(slowed < 5);
    drain_repace(&d, DRAIN_FAST, MOST);
    assert_int_equal(d.limit, MOST);
    answers(&d, 800, 5000, 0);
    assert_int_equal(d.limit, MOST);
    drain_repace(&d, DRAIN_MEASURED, MOST); /* as many as there are, until they are too many */
    assert_int_equal(d.limit, MOST);
    answers(&d, 400, 500000, 0);
    assert_true(d.limit < MOST);
}

static void test_one_lucky_window_is_forgotten(void **state)
{
    struct drain d = drain_begin(DRAIN_MEASURED, MOST);

    (void)state;
    answers(&d, 8, 1, 0);
    answers(&d, 20000, 100, 0); /* that is what it is */
    assert_int_equal(d.limit, MOST);
}

static void test_no_time_is_too_long(void **state)
{
    struct drain d = drain_begin(DRAIN_MEASURED, MOST);

    (void)state;
    answers(&d, 1000, UINT32_MAX, 0);
    answers(&d, 100000, 0, 0);
    assert_in_range(d.limit, 1, MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins_with_one_and_grows_to_the_bound),
        cmocka_unit_test(test_one_that_puts_off_gets_half),
        cmocka_unit_test(test_a_server_gets_about_what_it_can_serve),
        cmocka_unit_test(test_fast_does_not_ask_how_long_it_takes),
        cmocka_unit_test(test_one_lucky_window_is_forgotten),
        cmocka_unit_test(test_no_time_is_too_long),
    };

    return cmocka_run_group_tests_name("relay/drain", tests, NULL, NULL);
}
