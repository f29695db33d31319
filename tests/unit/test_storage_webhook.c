/*
 * storage/webhook_secret: secrets as they are written, and the signature; core/public_address: who may be told.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/public_address.h"
#include "storage/webhook_secret.h"

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(SIZE_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* The example of Standard Webhooks' own libraries. */
static void test_signature(void **state)
{
    struct slice key;

    (void)state;
    assert_true(webhook_secret_read(arena, SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &key));
    assert_string_equal(
        webhook_secret_sign(arena, key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, SLICE("{\"test\": 2432232314}")),
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#define A64 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void test_secrets(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true},  /* 24 bytes */
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLQ==", false}, /* 22 */
        {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
         true}, /* 64 */
        {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", false},
        {"whsec_" A64 "AAAAAAAAAAAAAAAAAAAAAA==", true},  /* 64 */
        {"whsec_" A64 "AAAAAAAAAAAAAAAAAAAAAAAA", false}, /* 66 */
        {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false},
        {"whsec_", false},
        {"", false},
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", false},
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZI-2LaLaSw", false},
    };
    struct slice key, one, other;

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        if (webhook_secret_read(arena, slice_str(cases[i].text), &key) != cases[i].good)
            fail_msg("%s", cases[i].text);
    one = webhook_secret_make(arena);
    other = webhook_secret_make(arena);
    assert_true(webhook_secret_read(arena, one, &key));
    assert_int_equal(key.n, 32);
    assert_false(slice_equal(one, other));
}

static bool is_public(const char *text)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};

    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return public_address((const struct sockaddr *)&four);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return public_address((const struct sockaddr *)&six);
}

static void test_addresses(void **state)
{
    static const char *const anybodys[] = {"8.8.8.8",      "100.63.255.255", "172.32.0.1",  "223.255.255.255",
                                           "2001:4860::1", "::ffff:8.8.8.8", "2606:4700::1"};
    static const char *const others[] = {"0.0.0.0",
                                         "10.1.2.3",
                                         "100.64.0.1",
                                         "127.0.0.1",
                                         "169.254.169.254",
                                         "172.16.0.1",
                                         "192.0.0.1",
                                         "192.168.255.255",
                                         "198.18.0.1",
                                         "224.0.0.1",
                                         "255.255.255.255",
                                         "::",
                                         "::1",
                                         "::ffff:127.0.0.1",
                                         "::ffff:10.0.0.1",
                                         "::7f00:1",
                                         "64:ff9b::7f00:1",
                                         "2002:7f00:1::",
                                         "2001:0:7f00:1::",
                                         "fd00::1",
                                         "fe80::1",
                                         "fec0::1",
                                         "ff02::1",
                                         "100::1"};
    struct sockaddr local = {.sa_family = AF_UNIX};

    (void)state;
    for (unsigned i = 0; i < sizeof anybodys / sizeof *anybodys; i++)
        if (!is_public(anybodys[i]))
            fail_msg("%s", anybodys[i]);
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        if (is_public(others[i]))
            fail_msg("%s", others[i]);
    assert_false(public_address(&local));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_signature, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secrets, set_up, tear_down),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
