/*
 * own_address: which connections would come back to us.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/own_address.h"

static bool own(const char *text, unsigned port)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;

    if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons((uint16_t)port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
    }
    return own_address((const struct sockaddr *)&address);
}

static void test_exact_and_any(void **state)
{
    (void)state;
    assert_false(own("192.0.2.1", 25));
    own_address_add("192.0.2.1", 25);
    own_address_add("2001:db8::1", 26);
    own_address_add("no address", 25);
    assert_true(own("192.0.2.1", 25));
    assert_false(own("192.0.2.1", 26));
    assert_false(own("192.0.2.2", 25));
    assert_true(own("2001:db8::1", 26));
    assert_false(own("2001:db8::1", 25));
    assert_false(own("127.0.0.1", 2525));
    own_address_add("0.0.0.0", 2525);
    assert_true(own("127.0.0.1", 2525));
    assert_true(own("127.9.9.9", 2525)); /* all of it is the machine */
    assert_false(own("192.0.2.1", 2525));
    assert_false(own("::1", 2525)); /* another family */
    own_address_add("::", 2525);
    assert_false(own("2001:db8::9", 2525));
    /* By other names. */
    own_address_add("127.0.0.1", 2526);
    own_address_add("::1", 2527);
    assert_true(own("::ffff:192.0.2.1", 25));
    assert_false(own("::ffff:192.0.2.2", 25));
    assert_true(own("0.0.0.0", 2525));
    assert_true(own("0.0.0.0", 2526));
    assert_true(own("::ffff:0.0.0.0", 2526));
    assert_true(own("::ffff:127.0.0.1", 2526));
    assert_true(own("::", 2527));
    assert_false(own("::", 26));
    assert_false(own("0.0.0.0", 25));
}

static void test_no_more_than_there_is_room_for(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * OWN_ADDRESSES_MAX; i++)
        own_address_add("198.51.100.1", 1000 + i);
    assert_true(own("198.51.100.1", 1000));
    assert_false(own("198.51.100.1", 1000 + 2 * OWN_ADDRESSES_MAX - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_and_any),
        cmocka_unit_test(test_no_more_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
