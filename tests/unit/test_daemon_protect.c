/*
 * runner_protect: what a message wants of a connection, and which one has it; RFC 8689 4.2.1 step by step.  The
 * connection is the test's own: its properties are what there is to be asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/runner_internal.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_protect.h"
#include "storage/delivery_policy.h"

struct smtp_client {
    bool encrypted, verified, named, offers, in_clear, matched;
    struct smtp_client_announced announced;
    enum delivery_tls level;
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

bool smtp_client_dane(const struct smtp_client *client)
{
    return client->matched;
}

const char *smtp_client_tls_version(const struct smtp_client *client)
{
    return client->encrypted ? "TLSv1.3" : NULL;
}

const char *smtp_client_tls_cipher(const struct smtp_client *client)
{
    return client->encrypted ? "TLS_AES_256_GCM_SHA384" : NULL;
}

const struct smtp_client_announced *smtp_client_announced(const struct smtp_client *client)
{
    return &client->announced;
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

bool smtp_client_in_clear(const struct smtp_client *client)
{
    return client->in_clear;
}

unsigned smtp_client_tls_level(const struct smtp_client *client)
{
    return client->level;
}

static enum delivery_tls policy;

enum delivery_tls delivery_policy_tls(struct slice address)
{
    assert_true(slice_equal(address, SLICE("c@d")));
    return policy;
}

static void test_wanted(void **state)
{
    static const struct {
        bool verify_tls, require_tls, tls_optional;
        const char *sender;
        enum runner_protection wanted;
        enum delivery_tls policy;
    } cases[] = {
        {false, false, false, "a@b", RUNNER_PROTECTION_CLEAR, DELIVERY_TLS_NONE},
        {true, false, false, "a@b", RUNNER_PROTECTION_ANNOUNCED,
         DELIVERY_TLS_MAY}, /* less than the setting, for this domain */
        {false, false, false, "a@b", RUNNER_PROTECTION_ENCRYPTED, DELIVERY_TLS_ENCRYPT},
        {false, false, false, "a@b", RUNNER_PROTECTION_CERTIFIED, DELIVERY_TLS_VERIFY},
        {false, false, true, "a@b", RUNNER_PROTECTION_ANY, DELIVERY_TLS_VERIFY},
        {false, false, true, "a@b", RUNNER_PROTECTION_CLEAR, DELIVERY_TLS_NONE},
        {false, true, false, "a@b", RUNNER_PROTECTION_REQUIRETLS, DELIVERY_TLS_NONE},
        {false, false, false, "a@b", RUNNER_PROTECTION_DANE, DELIVERY_TLS_DANE},
        {false, false, false, "a@b", RUNNER_PROTECTION_STS, DELIVERY_TLS_STS},
        {false, false, true, "a@b", RUNNER_PROTECTION_ANY, DELIVERY_TLS_DANE}, /* RFC 8689 section 3 */
        {false, false, false, "a@b", RUNNER_PROTECTION_ANNOUNCED, DELIVERY_TLS_NOT_SET},
        {true, false, false, "a@b", RUNNER_PROTECTION_VERIFIED, DELIVERY_TLS_NOT_SET},
        {true, false, true, "a@b", RUNNER_PROTECTION_ANY, DELIVERY_TLS_NOT_SET},
        {false, true, false, "a@b", RUNNER_PROTECTION_REQUIRETLS, DELIVERY_TLS_NOT_SET},
        {true, true, false, "a@b", RUNNER_PROTECTION_REQUIRETLS, DELIVERY_TLS_NOT_SET},
        {false, true, false, "", RUNNER_PROTECTION_ANNOUNCED,
         DELIVERY_TLS_NOT_SET}, /* section 5: a report is not lost for it */
        {true, true, false, "", RUNNER_PROTECTION_VERIFIED, DELIVERY_TLS_NOT_SET},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct runner_message message = {
            .sender = slice_str(cases[i].sender),
            .envelope = {.require_tls = cases[i].require_tls, .tls_optional = cases[i].tls_optional}};

        settings.verify_tls = cases[i].verify_tls;
        policy = cases[i].policy;
        assert_int_equal(runner_protection_wanted(&message, SLICE("c@d")), cases[i].wanted);
    }
}

static void expect_status(const struct smtp_client *client, enum runner_protection wanted, const char *status)
{
    struct runner_lack lack = {0};

    assert_int_equal(runner_protection_met(client, wanted, &lack), !status);
    if (status)
        assert_true(slice_equal(lack.status, slice_str(status)));
}

static void test_met(void **state)
{
    static const struct {
        struct smtp_client client;
        const char *encrypted, *verified, *requiretls; /* the status of what it lacks; NULL: it is good enough */
    } cases[] = {
        {{.named = true}, "4.7.10", "4.7.10", "5.7.10"},
        {{.named = true, .offers = true}, "4.7.10", "4.7.10", "5.7.10"},
        {{.encrypted = true, .named = true, .offers = true}, NULL, "4.7.10", "5.7.10"},
        {{.encrypted = true, .verified = true, .named = true}, NULL, NULL, "5.7.30"},
        {{.encrypted = true, .verified = true, .offers = true},
         NULL,
         NULL,
         "5.7.30"}, /* an MX record without DNSSEC named it */
        {{.encrypted = true, .verified = true, .named = true, .offers = true}, NULL, NULL, NULL},
    };
    static const struct smtp_client in_clear = {.in_clear = true};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_status(&cases[i].client, RUNNER_PROTECTION_ANY, NULL);
        expect_status(&cases[i].client, RUNNER_PROTECTION_CLEAR, cases[i].client.encrypted ? "4.7.10" : NULL);
        expect_status(&cases[i].client, RUNNER_PROTECTION_ENCRYPTED, cases[i].encrypted);
        expect_status(&cases[i].client, RUNNER_PROTECTION_CERTIFIED, cases[i].verified);
        expect_status(&cases[i].client, RUNNER_PROTECTION_VERIFIED, cases[i].verified);
        expect_status(&cases[i].client, RUNNER_PROTECTION_REQUIRETLS, cases[i].requiretls);
    }
    expect_status(&in_clear, RUNNER_PROTECTION_ANY, "4.7.10"); /* for another's sake: not for who takes what there is */
    expect_status(&in_clear, RUNNER_PROTECTION_CLEAR, NULL);
}

static void test_announced(void **state)
{
    static const struct {
        struct smtp_client client;
        const char *announced, *dane, *sts;
    } cases[] = {
        {{.announced = {0}}, "4.7.5", "4.7.5", "4.7.5"}, /* opened for who does not ask */
        {{.announced = {.asked = true}}, NULL, "4.7.5", "4.7.5"},
        {{.in_clear = true, .announced = {.asked = true}}, "4.7.10", "4.7.5", "4.7.5"},
        {{.encrypted = true, .announced = {.asked = true, .encrypt = true}}, NULL, "4.7.5", "4.7.5"},
        {{.announced = {.asked = true, .encrypt = true}}, "4.7.10", "4.7.5", "4.7.5"},
        {{.announced = {.asked = true, .dane = true}}, "4.7.10", "4.7.10", "4.7.10"},
        {{.encrypted = true, .verified = true, .announced = {.asked = true, .dane = true}}, "4.7.5", "4.7.5", "4.7.5"},
        {{.encrypted = true, .matched = true, .announced = {.asked = true, .dane = true}}, NULL, NULL, NULL},
        {{.announced = {.asked = true, .sts = true}}, "4.7.10", "4.7.5", "4.7.10"},
        {{.encrypted = true, .announced = {.asked = true, .sts = true}}, "4.7.5", "4.7.5", "4.7.5"},
        {{.encrypted = true, .verified = true, .announced = {.asked = true, .sts = true}}, NULL, "4.7.5", NULL},
        {{.encrypted = true, .verified = true, .announced = {.asked = true, .sts = true, .encrypt = true}},
         NULL,
         "4.7.5",
         NULL},
    };
    static const struct smtp_client both = {.encrypted = true, .matched = true, .named = true, .offers = true};
    static const struct smtp_client by_sts = {
        .encrypted = true, .verified = true, .offers = true, .announced = {.asked = true, .named = true}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_status(&cases[i].client, RUNNER_PROTECTION_ANNOUNCED, cases[i].announced);
        expect_status(&cases[i].client, RUNNER_PROTECTION_DANE, cases[i].dane);
        expect_status(&cases[i].client, RUNNER_PROTECTION_STS, cases[i].sts);
    }
    expect_status(&both, RUNNER_PROTECTION_REQUIRETLS, NULL);
    expect_status(&by_sts, RUNNER_PROTECTION_REQUIRETLS, NULL);
}

static void test_secured(void **state)
{
    static const struct {
        struct smtp_client client;
        const char *verified;
    } cases[] = {
        {{.announced = {0}}, "none"},
        {{.encrypted = true}, "opportunistic"},
        {{.encrypted = true, .verified = true}, "pkix"},
        {{.encrypted = true, .matched = true}, "dane"},
        {{.encrypted = true, .verified = true, .announced = {.sts = true}}, "sts"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct runner_secured secured = runner_secured_of(&cases[i].client);

        assert_string_equal(secured.verified, cases[i].verified);
        assert_int_equal(!secured.version, !cases[i].client.encrypted);
    }
}

/* A route's hop raises what is wanted, stands instead of our own setting, and lowers nothing else. */
static void test_at_a_hop(void **state)
{
    enum { ANY, ANN, CLEAR, ENC, CERT, VER, DANE, REQ, WANTED }; /* as `all` below */
    static const unsigned table[][WANTED] = {
        [DELIVERY_TLS_NOT_SET] = {ANY, ANN, CLEAR, ENC, CERT, VER, DANE, REQ},
        [DELIVERY_TLS_NONE] = {CLEAR, CLEAR, CLEAR, ENC, CERT, CLEAR, DANE, REQ},
        [DELIVERY_TLS_MAY] = {ANY, ANN, CLEAR, ENC, CERT, ANN, DANE, REQ},
        [DELIVERY_TLS_ENCRYPT] = {ENC, ENC, ENC, ENC, CERT, ENC, DANE, REQ},
        [DELIVERY_TLS_VERIFY] = {CERT, CERT, CERT, CERT, CERT, CERT, DANE, REQ},
        [DELIVERY_TLS_DANE] = {DANE, DANE, DANE, DANE, DANE, DANE, DANE, REQ},
    };
    static const enum runner_protection all[] = {RUNNER_PROTECTION_ANY,       RUNNER_PROTECTION_ANNOUNCED,
                                                 RUNNER_PROTECTION_CLEAR,     RUNNER_PROTECTION_ENCRYPTED,
                                                 RUNNER_PROTECTION_CERTIFIED, RUNNER_PROTECTION_VERIFIED,
                                                 RUNNER_PROTECTION_DANE,      RUNNER_PROTECTION_REQUIRETLS};
    static const struct smtp_client clear = {.level = DELIVERY_TLS_NONE, .in_clear = true},
                                    strict = {.level = DELIVERY_TLS_VERIFY, .encrypted = true};

    (void)state;
    for (unsigned hop = DELIVERY_TLS_NOT_SET; hop <= DELIVERY_TLS_DANE; hop++)
        for (unsigned wanted = 0; wanted < WANTED; wanted++)
            assert_int_equal(runner_protection_at(all[wanted], (enum delivery_tls)hop), all[table[hop][wanted]]);
    expect_status(&clear, RUNNER_PROTECTION_ANY, NULL);
    expect_status(&clear, RUNNER_PROTECTION_ENCRYPTED, "4.7.10");
    expect_status(&strict, RUNNER_PROTECTION_ANY, "4.7.10");
    expect_status(&strict, RUNNER_PROTECTION_REQUIRETLS, "5.7.10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wanted),  cmocka_unit_test(test_met),      cmocka_unit_test(test_announced),
        cmocka_unit_test(test_secured), cmocka_unit_test(test_at_a_hop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
