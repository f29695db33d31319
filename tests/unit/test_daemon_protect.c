/*
 * runner_protect: what a message wants of a connection, and which one has it; RFC 8689 4.2.1 step by step.  The connection is
 * the test's own: its four properties are what there is to be asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/runner_internal.h"

struct smtp_client {
    bool encrypted, verified, named, offers;
};

static struct runner_settings settings;

const struct runner_settings *runner_settings(void)
{
    return &settings;
}

bool smtp_client_encrypted(const struct smtp_client *client)
{
    return client->encrypted;
}

bool smtp_client_verified(const struct smtp_client *client)
{
    return client->verified;
}

bool smtp_client_named(const struct smtp_client *client)
{
    return client->named;
}

bool smtp_client_offers(const struct smtp_client *client, unsigned extension)
{
    assert_int_equal(extension, ENVELOPE_REQUIRETLS);
    return client->offers;
}

static void test_wanted(void **state)
{
    static const struct {
        bool verify_tls, require_tls, tls_optional;
        const char *sender;
        enum runner_protection wanted;
    } cases[] = {
        {false, false, false, "a@b", RUNNER_PROTECTION_ANY},
        {true, false, false, "a@b", RUNNER_PROTECTION_VERIFIED},
        {true, false, true, "a@b", RUNNER_PROTECTION_ANY},
        {false, true, false, "a@b", RUNNER_PROTECTION_REQUIRETLS},
        {true, true, false, "a@b", RUNNER_PROTECTION_REQUIRETLS},
        {false, true, false, "", RUNNER_PROTECTION_ANY}, /* section 5: a report is not lost for it */
        {true, true, false, "", RUNNER_PROTECTION_VERIFIED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct runner_message message = {.sender = slice_str(cases[i].sender),
                                         .envelope = {.require_tls = cases[i].require_tls,
                                                      .tls_optional = cases[i].tls_optional}};

        settings.verify_tls = cases[i].verify_tls;
        assert_int_equal(runner_protection_wanted(&message), cases[i].wanted);
    }
}

static void test_met(void **state)
{
    static const struct {
        struct smtp_client client;
        const char *verified, *requiretls; /* the status of what it lacks; NULL: it is good enough */
    } cases[] = {
        {{false, false, true, false}, "5.7.10", "5.7.10"},
        {{false, false, true, true}, "5.7.10", "5.7.10"},
        {{true, false, true, true}, "5.7.10", "5.7.10"},
        {{true, true, true, false}, NULL, "5.7.30"},
        {{true, true, false, true}, NULL, "5.7.30"}, /* an MX record without DNSSEC named it */
        {{true, true, true, true}, NULL, NULL},
    };
    struct runner_lack lack;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(runner_protection_met(&cases[i].client, RUNNER_PROTECTION_ANY, &lack));
        assert_int_equal(runner_protection_met(&cases[i].client, RUNNER_PROTECTION_VERIFIED, &lack), !cases[i].verified);
        if (cases[i].verified)
            assert_true(slice_equal(lack.status, slice_str(cases[i].verified)));
        assert_int_equal(runner_protection_met(&cases[i].client, RUNNER_PROTECTION_REQUIRETLS, &lack), !cases[i].requiretls);
        if (cases[i].requiretls)
            assert_true(slice_equal(lack.status, slice_str(cases[i].requiretls)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wanted),
        cmocka_unit_test(test_met),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
