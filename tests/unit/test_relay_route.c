/*
 * route: keys taken apart, hops and MX hosts put in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/route.h"
#include "relay/route_to.h"

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

static void test_keys(void **state)
{
    static const struct {
        const char *key;
        bool valid;
        enum route_kind kind;
        int64_t domain_id;
        const char *domain;
    } table[] = {
        {"default", true, ROUTE_DEFAULT, 0, ""},
        {"mailbox", true, ROUTE_MAILBOX, 0, ""},
        {"mx:example.test", true, ROUTE_MX, 0, "example.test"},
        {"domain:17", true, ROUTE_DOMAIN, 17, ""},
        {"domain:9223372036854775807", true, ROUTE_DOMAIN, INT64_MAX, ""},
        {"domain:9223372036854775808", false, 0, 0, ""},
        {"domain:92233720368547758070", false, 0, 0, ""},
        {"domain:", false, 0, 0, ""},
        {"domain:0", false, 0, 0, ""},
        {"domain:-1", false, 0, 0, ""},
        {"domain:1x", false, 0, 0, ""},
        {"route:17", true, ROUTE_NAMED, 0, ""},
        {"route:", false, 0, 0, ""},
        {"route:0", false, 0, 0, ""},
        {"routes:1", false, 0, 0, ""},
        {"mx:", false, 0, 0, ""},
        {"to:[h.test]:25", true, ROUTE_TO, 0, "[h.test]:25"},
        {"to:", false, 0, 0, ""},
        {"defaults", false, 0, 0, ""},
        {"", false, 0, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct route_key key;

        assert_int_equal(route_parse_key(slice_str(table[i].key), &key), table[i].valid);
        if (!table[i].valid)
            continue;
        assert_int_equal(key.kind, table[i].kind);
        assert_int_equal(key.domain_id, table[i].domain_id);
        assert_int_equal(key.route_id, key.kind == ROUTE_NAMED ? 17 : 0);
        assert_true(slice_equal(key.domain, slice_str(table[i].domain)));
    }
}

/* "a b c" */
static char *names(const struct route *route)
{
    char *text = arena_strdup(arena, "");

    for (unsigned i = 0; i < route->count; i++)
        text = arena_printf(arena, "%s%s%s", text, i ? " " : "", route->hops[i].host);
    return text;
}

static void test_hops_by_priority_and_stable(void **state)
{
    const struct directory_hop hops[] = {{.host = "c", .port = 2525, .priority = 20},
                                         {.host = "a", .port = 25, .priority = 10},
                                         {.host = "d", .port = 25, .priority = 20},
                                         {.host = "b", .port = 26, .priority = 10}};
    struct route route;

    (void)state;
    assert_int_equal(route_from_hops(arena, hops, 4, 1, &route), ROUTE_FOUND);
    assert_string_equal(names(&route), "a b c d");
    assert_int_equal(route.hops[1].port, 26);
    assert_int_equal(route.hops[2].port, 2525);
    assert_true(route.hops[0].primary && !route.hops[3].primary);
    assert_int_equal(route_from_hops(arena, hops, 0, 1, &route), ROUTE_NO_HOPS);
    assert_int_equal(route.count, 0);
}

static void test_implicit_mx(void **state)
{
    struct route route;

    (void)state;
    assert_int_equal(route_from_mx(arena, "example.test", NULL, 0, "us.test", 1, &route), ROUTE_FOUND);
    assert_string_equal(names(&route), "example.test");
    assert_int_equal(route.hops[0].port, 25);
    assert_int_equal(route_from_mx(arena, "US.test", NULL, 0, "us.test", 1, &route), ROUTE_LOOPS);
}

static void test_null_mx(void **state)
{
    const struct dns_mx null[] = {{0, "", false}}, beside[] = {{0, "", false}, {10, "a", false}};
    struct route route;

    (void)state;
    assert_int_equal(route_from_mx(arena, "example.test", null, 1, "us.test", 1, &route), ROUTE_NULL_MX);
    assert_int_equal(route_from_mx(arena, "example.test", beside, 2, "us.test", 1, &route), ROUTE_FOUND);
    assert_string_equal(names(&route), "a");
}

static void test_own_name_goes_with_what_is_no_better(void **state)
{
    static const struct {
        struct dns_mx mx[4];
        unsigned count;
        enum route_answer answer;
        const char *hosts;
    } table[] = {
        {{{10, "a", false}, {20, "us.test", false}, {30, "b", false}}, 3, ROUTE_FOUND, "a"},
        {{{10, "a", false}, {20, "US.TEST", false}, {20, "b", false}}, 3, ROUTE_FOUND, "a"},
        {{{10, "us.test", false}, {20, "b", false}}, 2, ROUTE_LOOPS, ""},
        {{{10, "us.test", false}, {10, "b", false}}, 2, ROUTE_LOOPS, ""},
        {{{30, "us.test", false}, {20, "b", false}, {10, "a", false}}, 3, ROUTE_FOUND, "a b"},
        {{{10, "a", false}, {20, "us.test", false}, {30, "us.test", false}, {5, "c", false}}, 4, ROUTE_FOUND, "c a"},
    };

    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++)
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
            struct route route;

            assert_int_equal(route_from_mx(arena, "x.test", table[i].mx, table[i].count, "us.test", seed, &route),
                             table[i].answer);
            assert_string_equal(names(&route), table[i].hosts);
        }
}

/*
 * RFC 8689 4.2.1: a name is doubtful that came by an MX record without DNSSEC, not the domain's own or a configured
 * one.
 */
static void test_doubtful(void **state)
{
    const struct dns_mx mx[] = {{10, "a", true}, {20, "b", false}};
    const struct directory_hop hop = {.host = "c", .port = 25, .priority = 0};
    struct route route;

    (void)state;
    assert_int_equal(route_from_mx(arena, "example.test", mx, 2, "us.test", 1, &route), ROUTE_FOUND);
    assert_false(route.hops[0].doubtful);
    assert_true(route.hops[1].doubtful);
    assert_int_equal(route_from_mx(arena, "example.test", NULL, 0, "us.test", 1, &route), ROUTE_FOUND);
    assert_false(route.hops[0].doubtful);
    assert_int_equal(route_from_hops(arena, &hop, 1, 1, &route), ROUTE_FOUND);
    assert_false(route.hops[0].doubtful);
}

/* Equal preferences change places, others never do; every order comes, about as often. */
static void test_equal_preferences_are_shuffled(void **state)
{
    const struct dns_mx mx[] = {{20, "d", false}, {10, "a", false}, {10, "b", false}, {10, "c", false}};
    static const char *const orders[] = {"a b c d", "a c b d", "b a c d", "b c a d", "c a b d", "c b a d"};
    unsigned seen[6] = {0};

    (void)state;
    for (uint64_t seed = 0; seed < 6000; seed++) {
        struct route route;
        unsigned known = 0;

        assert_int_equal(route_from_mx(arena, "x.test", mx, 4, "us.test", seed, &route), ROUTE_FOUND);
        for (unsigned i = 0; i < 6; i++)
            if (strcmp(names(&route), orders[i]) == 0) {
                seen[i]++;
                known++;
            }
        assert_int_equal(known, 1);
        arena_reset(arena);
    }
    for (unsigned i = 0; i < 6; i++)
        assert_in_range(seen[i], 800, 1200);
}

static void test_no_more_hops_than_are_tried(void **state)
{
    struct dns_mx mx[64];
    struct route route;

    (void)state;
    for (unsigned i = 0; i < 64; i++)
        mx[i] = (struct dns_mx){64 - i, arena_printf(arena, "h%u", i), false};
    assert_int_equal(route_from_mx(arena, "x.test", mx, 64, "us.test", 3, &route), ROUTE_FOUND);
    assert_int_equal(route.count, ROUTE_HOPS_MAX);
    assert_string_equal(route.hops[0].host, "h63");
}

static void test_sent_elsewhere(void **state)
{
    static const struct directory_hop hops[] = {{.host = "a.test", .port = 25}, {.host = "2001:db8::1", .port = 2525}};
    static const char *const malformed[] = {"",
                                            "[",
                                            "[]:25",
                                            "[a]",
                                            "[a]:",
                                            "[a]:0",
                                            "[a]:65536",
                                            "[a]:99999999999999999999",
                                            "a:25",
                                            "[a]:25,",
                                            "[a]:25x",
                                            "[a]:25,[b]",
                                            "[a]:1,[a]:1,[a]:1,[a]:1,[a]:1"};
    struct slice key = route_to_key(arena, hops, 2);
    struct route route;

    (void)state;
    assert_true(slice_equal(key, SLICE("to:[a.test]:25,[2001:db8::1]:2525")));
    assert_true(route_to_parse(arena, slice_skip(key, 3), &route));
    assert_int_equal(route.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_string_equal(route.hops[i].host, hops[i].host);
        assert_int_equal(route.hops[i].port, hops[i].port);
    }
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        assert_false(route_to_parse(arena, slice_str(malformed[i]), &route));
}

/* Of equal priority each is the first as often as its weight is of their sum; others keep their place. */
static void test_weights(void **state)
{
    static const struct directory_hop hops[] = {{.host = "last", .priority = 20, .weight = 100},
                                                {.host = "heavy", .priority = 10, .weight = 3},
                                                {.host = "light", .priority = 10, .weight = 1},
                                                {.host = "first", .priority = 0, .weight = 1}};
    unsigned heavy = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 4000; seed++) {
        struct route route, again;
        char *order;

        assert_int_equal(route_from_hops(arena, hops, 4, seed, &route), ROUTE_FOUND);
        assert_int_equal(route_from_hops(arena, hops, 4, seed, &again), ROUTE_FOUND);
        order = names(&route);
        assert_string_equal(order, names(&again));
        heavy += strcmp(order, "first heavy light last") == 0;
        if (strcmp(order, "first heavy light last") != 0)
            assert_string_equal(order, "first light heavy last");
        assert_true(route.hops[0].primary && !route.hops[1].primary);
        arena_reset(arena);
    }
    assert_in_range(heavy, 2900, 3100);
}

static void test_literals(void **state)
{
    static const struct {
        const char *domain, *host;
    } table[] = {
        {"[192.0.2.1]", "192.0.2.1"},
        {"[IPv6:2001:db8::1]", "2001:db8::1"},
        {"[ipv6:::1]", "::1"},
        {"[2001:db8::1]", NULL},
        {"[IPv6:192.0.2.1]", NULL},
        {"[]", NULL},
        {"[IPv6:]", NULL},
        {"[192.0.2.1", NULL},
        {"192.0.2.1", NULL},
        {"[x-tag:what]", NULL},
        {"", NULL},
        {"[192.0.2.1] ", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct route route;

        assert_int_equal(route_from_literal(arena, slice_str(table[i].domain), &route),
                         table[i].host ? ROUTE_FOUND : ROUTE_NO_HOPS);
        assert_int_equal(route.count, table[i].host != NULL);
        if (table[i].host)
            assert_string_equal(route.hops[0].host, table[i].host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_literals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sent_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hops_by_priority_and_stable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_implicit_mx, setup, teardown),
        cmocka_unit_test_setup_teardown(test_null_mx, setup, teardown),
        cmocka_unit_test_setup_teardown(test_doubtful, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_name_goes_with_what_is_no_better, setup, teardown),
        cmocka_unit_test_setup_teardown(test_equal_preferences_are_shuffled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_more_hops_than_are_tried, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
