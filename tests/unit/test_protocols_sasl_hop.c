/*
 * sasl_hop: mechanisms by name and strength, challenges that are one and that are not, and dialogues with a server that
 * does right and one that does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/secret.h"
#include "protocols/sasl_hop.h"
#include "protocols/sasl_hop_challenge.h"

static void test_mechanisms(void **state)
{
    (void)state;
    assert_int_equal(sasl_hop_named(SLICE("scram-sha-256")), SASL_HOP_SCRAM_SHA_256);
    assert_int_equal(sasl_hop_named(SLICE("LOGIN")), SASL_HOP_LOGIN);
    assert_int_equal(sasl_hop_named(SLICE("SCRAM-SHA-256-PLUS")), 0);
    assert_int_equal(sasl_hop_named(SLICE("")), 0);
    assert_int_equal(sasl_hop_best(~0u), SASL_HOP_SCRAM_SHA_256);
    assert_int_equal(sasl_hop_best(SASL_HOP_LOGIN | SASL_HOP_PLAIN), SASL_HOP_PLAIN);
    assert_int_equal(sasl_hop_best(0), 0);
    assert_string_equal(sasl_hop_name(SASL_HOP_SCRAM_SHA_1), "SCRAM-SHA-1");
    assert_null(sasl_hop_name(0));
}

static void test_first(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } table[] = {
        {"r=abc,s=QUJD,i=4096", true},
        {"r=abc,s=QUJD,i=4096,x=y", true},
        {"r=a=b,s=QQ==,i=1", true},
        {"r=abc,s=QUJD,i=65536", true},
        {"r=abc,s=QUJD,i=65537", false},
        {"r=abc,s=QUJD,i=2000000000", false},
        {"r=abc,s=QUJD,i=99999999999999999999999", false},
        {"r=abc,s=QUJD,i=0", false},
        {"r=abc,s=QUJD,i=-1", false},
        {"r=abc,s=QUJD,i=", false},
        {"r=abc,s=QUJD", false},
        {"r=abc,i=4096,s=QUJD", false},
        {"r=,s=QUJD,i=4096", false},
        {"r=abc,s=,i=4096", false},
        {"m=x,r=abc,s=QUJD,i=4096", false},
        {"r=a c,s=QUJD,i=4096", false},
        {"r=\x80,s=QUJD,i=4096", false},
        {"r=abc,s=QUJD,i=4096,x=\n", false},
        {"r=abc,s=QUJD,i=4096x", false},
        {"", false},
        {"e=no", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (sasl_hop_challenge_first(slice_str(table[i].text)) != table[i].good)
            fail_msg("%s", table[i].text);
    assert_false(sasl_hop_challenge_first(slice_of("r=a\0c,s=QUJD,i=4096", 19)));
}

static void test_final(void **state)
{
    (void)state;
    assert_true(sasl_hop_challenge_final(SLICE("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")));
    assert_true(sasl_hop_challenge_final(SLICE("e=invalid-proof")));
    assert_true(sasl_hop_challenge_final(SLICE("v=QUJD,x=y")));
    assert_false(sasl_hop_challenge_final(SLICE("v=")));
    assert_false(sasl_hop_challenge_final(SLICE("x=y")));
    assert_false(sasl_hop_challenge_final(SLICE("v=a b")));
    assert_false(sasl_hop_challenge_final(SLICE("")));
}

static void test_decode(void **state)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice out;
    static char longer[2052];

    (void)state;
    assert_true(sasl_hop_challenge_decode(arena, SLICE("QUJD"), &out));
    assert_true(slice_equal(out, SLICE("ABC")));
    assert_true(sasl_hop_challenge_decode(arena, slice_of(NULL, 0), &out));
    assert_int_equal(out.n, 0);
    assert_false(sasl_hop_challenge_decode(arena, SLICE("!!"), &out));
    assert_false(sasl_hop_challenge_decode(arena, SLICE("QUJ"), &out));
    memset(longer, 'A', sizeof longer);
    assert_false(sasl_hop_challenge_decode(arena, slice_of(longer, sizeof longer), &out));
    arena_free(&arena);
}

static void test_plain_and_login(void **state)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct sasl_hop *hop = sasl_hop_new(SASL_HOP_PLAIN, "hop.test", SLICE("user"), SLICE("pass word"));
    struct slice out;

    (void)state;
    assert_true(sasl_hop_begin(hop, arena, &out));
    assert_true(slice_equal(out, slice_of("\0user\0pass word", 15)));
    assert_true(sasl_hop_over(hop));
    assert_false(sasl_hop_step(hop, arena, SLICE("more"), &out));
    sasl_hop_free(&hop);

    hop = sasl_hop_new(SASL_HOP_LOGIN, "hop.test", SLICE("user"), SLICE("pass word"));
    assert_true(sasl_hop_begin(hop, arena, &out));
    assert_null(out.p);
    assert_true(sasl_hop_step(hop, arena, SLICE("Username:"), &out));
    assert_true(slice_equal(out, SLICE("user")));
    assert_false(sasl_hop_over(hop));
    assert_true(sasl_hop_step(hop, arena, SLICE("Password:"), &out));
    assert_true(slice_equal(out, SLICE("pass word")));
    assert_true(sasl_hop_over(hop));
    sasl_hop_free(&hop);
    sasl_hop_free(&hop);
    arena_free(&arena);
}

/* A server that says what it likes is not believed. */
static void test_scram_is_proved(void **state)
{
    static const unsigned both[] = {SASL_HOP_SCRAM_SHA_256, SASL_HOP_SCRAM_SHA_1};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct arena *arena = arena_new(SIZE_MAX);
        struct sasl_hop *hop = sasl_hop_new(both[i], "hop.test", SLICE("us,er"), SLICE("pass word"));
        struct slice out;

        assert_true(sasl_hop_begin(hop, arena, &out));
        assert_memory_equal(out.p, "n,,n=us=2Cer,r=", 15);
        const char *nonce = arena_slicedup(arena, slice_skip(out, 15));
        assert_false(sasl_hop_over(hop));
        const char *first = arena_printf(arena, "r=%sserver,s=QUJDREVGR0g=,i=4096", nonce);
        assert_true(sasl_hop_step(hop, arena, slice_str(first), &out));
        assert_non_null(strstr(arena_slicedup(arena, out), ",p="));
        assert_false(sasl_hop_over(hop));
        assert_false(sasl_hop_step(hop, arena, SLICE("v=QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="), &out));
        assert_false(sasl_hop_over(hop));
        sasl_hop_free(&hop);
        hop = sasl_hop_new(both[i], "hop.test", SLICE("user"), SLICE("pass word"));
        assert_true(sasl_hop_begin(hop, arena, &out));
        assert_false(sasl_hop_step(hop, arena, SLICE("r=not ours,s=QUJD,i=4096"), &out));
        assert_false(sasl_hop_step(hop, arena, SLICE("r=notours,s=QUJD,i=4096"), &out));
        sasl_hop_free(&hop);
        arena_free(&arena);
    }
}

static void test_tokens(void **state)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct sasl_hop *hop = sasl_hop_new(SASL_HOP_OAUTHBEARER, "hop.test", SLICE("u,=r@x.test"), SLICE("tok.en"));
    struct slice out;

    (void)state;
    assert_true(sasl_hop_begin(hop, arena, &out));
    assert_true(slice_equal(out, SLICE("n,a=u=2C=3Dr@x.test,\1auth=Bearer tok.en\1\1")));
    assert_true(sasl_hop_over(hop) && sasl_hop_goes_on(hop));
    assert_true(sasl_hop_step(hop, arena, SLICE("{\"status\":\"401\"}"), &out));
    assert_true(slice_equal(out, SLICE("\1")));
    assert_false(sasl_hop_goes_on(hop));
    assert_false(sasl_hop_step(hop, arena, SLICE("{}"), &out));
    sasl_hop_free(&hop);
    hop = sasl_hop_new(SASL_HOP_XOAUTH2, "hop.test", SLICE("u,=r@x.test"), SLICE("tok.en"));
    assert_true(sasl_hop_begin(hop, arena, &out));
    assert_true(slice_equal(out, SLICE("user=u,=r@x.test\1auth=Bearer tok.en\1\1")));
    assert_true(sasl_hop_step(hop, arena, SLICE("{}"), &out));
    assert_int_equal(out.n, 0);
    sasl_hop_free(&hop);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mechanisms),      cmocka_unit_test(test_first),
        cmocka_unit_test(test_final),           cmocka_unit_test(test_decode),
        cmocka_unit_test(test_plain_and_login), cmocka_unit_test(test_scram_is_proved),
        cmocka_unit_test(test_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
