/*
 * runner_source: one address of each family of a pool, in turn; and which addresses of a next hop suit it.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/runner_source.h"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static const char *text(const struct dns_address *address)
{
    char *out = arena_alloc(arena, INET6_ADDRSTRLEN);

    if (!address)
        return "none";
    return address->address.ss_family == AF_INET6
               ? inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&address->address)->sin6_addr, out,
                           INET6_ADDRSTRLEN)
               : inet_ntop(AF_INET, &((const struct sockaddr_in *)&address->address)->sin_addr, out, INET6_ADDRSTRLEN);
}

static void test_in_turn(void **state)
{
    struct runner_source source;
    unsigned twos = 0, threes = 0;

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        assert_true(runner_source_choose(arena, SLICE("127.0.0.2 127.0.0.3"), &source));
        assert_null(source.six);
        twos += strcmp(text(source.four), "127.0.0.2") == 0;
        threes += strcmp(text(source.four), "127.0.0.3") == 0;
    }
    assert_true(twos == 5 && threes == 5);
    for (unsigned i = 0; i < 4; i++) { /* 192.0.2.1 and 2001:db8::1 are nobody's */
        assert_true(runner_source_choose(arena, SLICE("192.0.2.1 ::1 127.0.0.3 2001:db8::1"), &source));
        assert_string_equal(text(source.four), "127.0.0.3");
        assert_string_equal(text(source.six), "::1");
    }
}

static void test_nothing_to_choose(void **state)
{
    struct runner_source source;

    (void)state;
    assert_true(runner_source_choose(arena, slice_of("", 0), &source));
    assert_true(!source.key && !source.four && !source.six);
    assert_false(runner_source_choose(arena, SLICE("192.0.2.1"), &source));
    assert_true(source.key && !source.four && !source.six);
    assert_false(runner_source_choose(arena, SLICE("what"), &source)); /* a word of a newer node: not from elsewhere */
}

static void test_keys(void **state)
{
    (void)state;
    assert_int_equal(runner_source_key(slice_of("", 0)), 0);
    assert_true(runner_source_key(SLICE("127.0.0.2")) != runner_source_key(SLICE("127.0.0.3")));
    assert_true(runner_source_fits(0, slice_of("", 0)));
    assert_false(runner_source_fits(0, SLICE("127.0.0.2")));
    assert_true(runner_source_fits(runner_source_key(SLICE("127.0.0.2")), SLICE("127.0.0.2")));
    assert_false(runner_source_fits(runner_source_key(SLICE("127.0.0.2")), SLICE("127.0.0.3")));
    assert_false(runner_source_fits(runner_source_key(SLICE("127.0.0.2")), slice_of("", 0)));
    assert_true(runner_source_fits(RUNNER_SOURCE_OF_ROUTE, SLICE("127.0.0.3")));
}

static void test_what_suits(void **state)
{
    static const struct {
        const char *pool, *before, *after;
        unsigned suits;
    } table[] = {{"", "646", "646", 3},        {"127.0.0.2", "646", "466", 1},
                 {"::1", "464", "644", 1},     {"127.0.0.2 ::1", "6464", "6464", 4},
                 {"127.0.0.2", "66", "66", 0}, {"127.0.0.2", "6464", "4466", 2}};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct dns_address list[4] = {0};
        struct runner_source source;
        unsigned count = (unsigned)strlen(table[i].before);

        for (unsigned k = 0; k < count; k++)
            list[k].address.ss_family = table[i].before[k] == '6' ? AF_INET6 : AF_INET;
        assert_true(runner_source_choose(arena, slice_str(table[i].pool), &source));
        assert_int_equal(runner_source_suits(&source, list, count), table[i].suits);
        for (unsigned k = 0; k < count; k++)
            assert_int_equal(table[i].after[k], list[k].address.ss_family == AF_INET6 ? '6' : '4');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_to_choose, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_suits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
