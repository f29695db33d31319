/* storage/name: the one form of domains, addresses, hosts and blocks; and storage/schema's comparison. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "storage/name.h"
#include "storage/schema.h"

#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

typedef bool name_fn(struct arena *arena, struct slice in, struct slice *out);

struct name_case {
    struct slice in;
    const char *out; /* NULL: refused */
};

static void check(const char *what, name_fn *fn, const struct name_case *cases, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct arena *arena = arena_new(4096);
        struct slice out = {0};
        bool good = fn(arena, cases[i].in, &out);
        if (good != (cases[i].out != NULL) || (good && !slice_equal(out, slice_str(cases[i].out))))
            fail_msg("%s %.*s: %d %.*s", what, SLICE_ARG(cases[i].in), good, SLICE_ARG(out));
        arena_free(&arena);
    }
}
#define CHECK(fn, cases) check(#fn, fn, cases, sizeof cases / sizeof *cases)

static void test_domain(void **state)
{
    static const struct name_case cases[] = {
        {SLICE("example.test"), "example.test"},
        {SLICE("Example.TEST."), "example.test"},
        {SLICE("xn--bcher-kva.example"), "xn--bcher-kva.example"},
        {SLICE("3com.com"), "3com.com"},
        {SLICE("a-b.c--d.e"), "a-b.c--d.e"},
        {SLICE(LABEL63 ".test"), LABEL63 ".test"},
        {SLICE("a" LABEL63 ".test"), NULL},
        {SLICE(LABEL63 "." LABEL63 "." LABEL63 "." LABEL63), NULL},
        {SLICE("localhost"), NULL},
        {SLICE(""), NULL},
        {SLICE("."), NULL},
        {SLICE(".test"), NULL},
        {SLICE("a..test"), NULL},
        {SLICE("a.test.."), NULL},
        {SLICE("-a.test"), NULL},
        {SLICE("a-.test"), NULL},
        {SLICE("a_b.test"), NULL},
        {SLICE("192.0.2.1"), NULL},
        {SLICE("a.123"), NULL},
        {SLICE("B\xc3\x9c"
               "cher.Test."),
         "xn--bcher-kva.test"},
        {SLICE("b\xfc"
               "cher.test"),
         NULL},
        {SLICE("\xc3\xbc\0.test"), NULL},
        {SLICE("\xc3\xbc"), NULL},
        {SLICE("a b.test"), NULL},
        {SLICE("a\0.test"), NULL},
        {SLICE("a@b.test"), NULL},
    };
    (void)state;
    CHECK(name_domain, cases);
}

static void test_address(void **state)
{
    static const struct name_case cases[] = {
        {SLICE("Ann.Smith+list@Example.TEST"), "ann.smith+list@example.test"},
        {SLICE("o'neill@a.test"), "o'neill@a.test"},
        {SLICE(LABEL63 "a@a.test"), LABEL63 "a@a.test"},
        {SLICE(LABEL63 "ab@a.test"), NULL},
        {SLICE("a@b"), NULL},
        {SLICE("@a.test"), NULL},
        {SLICE("a.test"), NULL},
        {SLICE(".a@b.test"), NULL},
        {SLICE("a.@b.test"), NULL},
        {SLICE("a..b@c.test"), NULL},
        {SLICE("a@b@c.test"), NULL},
        {SLICE("\"a b\"@c.test"), NULL},
        {SLICE("a b@c.test"), NULL},
        {SLICE("a\0b@c.test"), NULL},
        {SLICE("a@c.test\n"), NULL},
        {SLICE("\xc3\x89ve@c.test"), "\xc3\xa9ve@c.test"},
        {SLICE("e\xcc\x81ve@B\xc3\xbc"
               "cher.test"),
         "\xc3\xa9ve@xn--bcher-kva.test"},
        {SLICE("a@xn--bcher-kva.test"), "a@xn--bcher-kva.test"},
        {SLICE("\xe9@c.test"), NULL},          /* Latin-1 */
        {SLICE("a\xe2\x80\xae@c.test"), NULL}, /* it turns the direction of what follows */
        {SLICE("a\xc2\xa0z@c.test"), NULL},
        {SLICE("\xc3\xa9\0@c.test"), NULL},
        {SLICE("\xc3\xa9@\xff.test"), NULL},
        {SLICE("a@[192.0.2.1]"), NULL},
        {SLICE(""), NULL},
        {SLICE("@"), NULL},
    };
    (void)state;
    CHECK(name_address, cases);
    assert_true(slice_equal(name_address_domain(SLICE("ann@a.test")), SLICE("a.test")));
}

static void test_key(void **state)
{
    static const char *const pairs[][2] = {
        {"Ann@Example.test", "ann@example.test"},
        {"\xc3\x89ve@B\xc3\x9c"
         "CHER.test",
         "\xc3\xa9ve@xn--bcher-kva.test"},
        {"a@b\xc3\xbc"
         "cher.test",
         "a@xn--bcher-kva.test"},
        {"\"A b\"@c.test", "\"a b\"@c.test"},
        {"Ann", "ann"},
        {"a@\xff", "a@\xff"}, /* nobody's */
    };
    struct arena *arena = arena_new(4096);

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_true(slice_equal(name_key(arena, slice_str(pairs[i][0])), slice_str(pairs[i][1])));
    arena_free(&arena);
}

static void test_host(void **state)
{
    static const struct name_case cases[] = {
        {SLICE("mail.Example.test"), "mail.example.test"},
        {SLICE("localhost"), "localhost"},
        {SLICE("192.0.2.1"), "192.0.2.1"},
        {SLICE("2001:DB8::1"), "2001:db8::1"},
        {SLICE("[2001:db8::1]"), NULL},
        {SLICE("192.0.2.256"), NULL},
        {SLICE("a,b"), NULL},
        {SLICE("a b"), NULL},
        {SLICE("127.0.0.1\0"), NULL},
        {SLICE(""), NULL},
    };
    (void)state;
    CHECK(name_host, cases);
}

static void test_cidr(void **state)
{
    static const struct name_case cases[] = {
        {SLICE("192.0.2.0/24"), "192.0.2.0/24"},
        {SLICE("192.0.2.1"), "192.0.2.1/32"},
        {SLICE("192.0.2.128/25"), "192.0.2.128/25"},
        {SLICE("0.0.0.0/0"), "0.0.0.0/0"},
        {SLICE("2001:DB8:0:0::/32"), "2001:db8::/32"},
        {SLICE("::1"), "::1/128"},
        {SLICE("::ffff:192.0.2.0/120"), NULL},
        {SLICE("::ffff:0:0/96"), NULL},
        {SLICE("::fffe:192.0.2.0/120"), "::fffe:c000:200/120"},
        {SLICE("192.0.2.1/24"), NULL},
        {SLICE("192.0.2.128/24"), NULL},
        {SLICE("192.0.2.0/33"), NULL},
        {SLICE("192.0.2.0/"), NULL},
        {SLICE("192.0.2.0/+8"), NULL},
        {SLICE("192.0.2.0/24/24"), NULL},
        {SLICE("192.0.2/24"), NULL},
        {SLICE("2001:db8::1/32"), NULL},
        {SLICE("::/129"), NULL},
        {SLICE("a.test/24"), NULL},
        {SLICE("192.0.2.0/24\0"), NULL},
        {SLICE(""), NULL},
    };
    (void)state;
    CHECK(name_cidr, cases);
}

/* ------------------------------------------------------------------ schema */

static void fill(struct schema_list *list, struct schema_migration *items, unsigned count)
{
    *list = (struct schema_list){count, items};
    for (unsigned i = 0; i < count; i++) {
        items[i] = (struct schema_migration){.version = i + 1, .name = "step"};
        snprintf(items[i].digest, sizeof items[i].digest, "digest-%u", i + 1);
    }
}

static void test_schema_compare(void **state)
{
    struct schema_migration ours[3], theirs[3];
    struct schema_list known, applied;
    char why[512] = "";
    (void)state;
    fill(&known, ours, 2);
    fill(&applied, theirs, 2);
    assert_int_equal(schema_compare(&known, &applied, why, sizeof why), SCHEMA_CURRENT);
    fill(&applied, theirs, 0);
    assert_int_equal(schema_compare(&known, &applied, why, sizeof why), SCHEMA_BEHIND);
    fill(&applied, theirs, 1);
    assert_int_equal(schema_compare(&known, &applied, why, sizeof why), SCHEMA_BEHIND);
    fill(&applied, theirs, 3);
    assert_int_equal(schema_compare(&known, &applied, why, sizeof why), SCHEMA_AHEAD);
    fill(&applied, theirs, 2);
    theirs[0].digest[0] = 'x';
    assert_int_equal(schema_compare(&known, &applied, why, sizeof why), SCHEMA_CHANGED);
    fill(&applied, theirs, 1);
    theirs[0].version = 2;
    assert_int_equal(schema_compare(&known, &applied, why, sizeof why), SCHEMA_CHANGED);
}

/* make check sets POSTHOUSE_SCHEMA_DIR to the tree's. */
static void test_schema_load(void **state)
{
    struct arena *arena = arena_new(1024 * 1024);
    struct schema_list known;
    char why[512] = "";
    (void)state;
    if (!schema_load(arena, &known, why, sizeof why))
        fail_msg("%s", why);
    assert_true(known.count >= 1);
    assert_string_equal(known.items[0].name, "road");
    assert_int_equal(strlen(known.items[0].digest), SCHEMA_DIGEST_SIZE - 1);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_domain),      cmocka_unit_test(test_address), cmocka_unit_test(test_key),
        cmocka_unit_test(test_host),        cmocka_unit_test(test_cidr),    cmocka_unit_test(test_schema_compare),
        cmocka_unit_test(test_schema_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
