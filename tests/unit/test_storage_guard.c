/*
 * storage/guard without a database: what bans, and a table that a flood of addresses and names fills: who was banned
 * stays so, and who guesses on is banned all the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/log.h"
#include "storage/guard.h"

#define FLOOD 100000 /* of failures; each is three entries of a table of 65,536 */

static void fail_times(const char *client, const char *name, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        guard_failed(client, slice_str(name));
}

static void flood(unsigned network, unsigned times_each)
{
    char client[32], name[32];

    for (unsigned i = 0; i < FLOOD; i++) {
        snprintf(client, sizeof client, "10.%u.%u.%u", (network + (i >> 16)) & 255, (i >> 8) & 255, i & 255);
        snprintf(name, sizeof name, "user%u.%u@flood.test", network, i);
        fail_times(client, name, times_each);
    }
}

static void what_bans(void **state)
{
    (void)state;
    fail_times("192.0.2.1", "ann@x.test", 4);
    assert_false(guard_banned("192.0.2.1", SLICE("ann@x.test")));
    fail_times("192.0.2.1", "ANN@x.test", 1);
    assert_true(guard_banned("192.0.2.1", SLICE("ann@x.test")));
    assert_false(guard_banned("192.0.2.1", SLICE("bob@x.test")));
    assert_false(guard_banned("192.0.2.2", SLICE("ann@x.test")));
    for (unsigned i = 0; i < 5; i++)
        fail_times("192.0.2.1", i % 2 ? "bob@x.test" : "eve@x.test", 1);
    assert_true(guard_banned("192.0.2.1", SLICE("bob@x.test"))); /* ten from the address, whatever the name */
}

/* The answer's time is counted from the beginning of the check: what is left of it when the check was cheap, and when it was dear. */
static void the_delay_holds_what_the_check_cost(void **state)
{
    (void)state;
    assert_in_range(guard_delay(1000, "192.0.2.77", clock_steady_ms()), 100, 1000);
    assert_in_range(guard_delay(1000, "192.0.2.77", clock_steady_ms() - 700), 0, 300);
    assert_int_equal(guard_delay(1000, "192.0.2.77", clock_steady_ms() - 1000), 0);
    assert_int_equal(guard_delay(1000, "192.0.2.77", clock_steady_ms() - 5000), 0);
    fail_times("192.0.2.77", "", 4); /* 250, 500, 1000, 2000 ms for its address */
    assert_in_range(guard_delay(1000, "192.0.2.77", clock_steady_ms() - 700), 301, 1300);
}

static void a_flood_frees_nobody(void **state)
{
    (void)state;
    fail_times("192.0.2.9", "carl@x.test", 10);
    assert_true(guard_banned("192.0.2.9", SLICE("carl@x.test")));
    flood(0, 1);
    assert_true(guard_banned("192.0.2.9", SLICE("carl@x.test")));
}

static void a_flood_makes_room_for_nobody_else(void **state)
{
    (void)state;
    for (unsigned times = 1; times <= 3; times++) {
        char client[32];

        flood(16 * times, times);
        snprintf(client, sizeof client, "198.51.100.%u", times);
        fail_times(client, "dora@x.test", 10);
        assert_true(guard_banned(client, SLICE("dora@x.test")));
        assert_true(guard_banned(client, SLICE("somebody@x.test")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_bans),
        cmocka_unit_test(the_delay_holds_what_the_check_cost),
        cmocka_unit_test(a_flood_frees_nobody),
        cmocka_unit_test(a_flood_makes_room_for_nobody_else),
    };
    const struct cidr_list exempt = {0};
    const struct guard_settings settings = {
        .window_ms = 3600000, .ban_ms = 900000, .address_failures = 10, .account_failures = 5, .exempt = &exempt};

    log_set_level(NULL, LOG_LEVEL_ERROR);

    guard_init(&settings);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
