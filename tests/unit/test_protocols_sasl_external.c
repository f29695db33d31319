/*
 * EXTERNAL: who is offered it, what the client may say, and what becomes of it.  Whose a certificate is:
 * tests/e2e/test_certificates.py.
 */
#include "protocols/login.h"
#include "tests/unit/sasl_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct slice addresses[] = {SLICE("Ann@example.test"), SLICE("a@b.test")};
static const struct tls_peer certificate = {.verified = true,
                                            .fingerprint =
                                                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                            .addresses = addresses,
                                            .address_count = COUNT(addresses)};

static struct sasl_attempt *attempt_with(const struct tls_peer *shown)
{
    return sasl_attempt_new(&(struct sasl_client){.service = "smtp", .peer = PEER, .tls = true, .certificate = shown});
}

/* NO_MECHANISM, which no test expects here: something is not as it must be. */
static enum sasl_result say(struct slice initial, struct slice answer, struct slice *who)
{
    struct sasl_attempt *attempt = attempt_with(&certificate);
    struct directory_account account = {0};
    struct slice challenge = {0};
    enum sasl_result result = sasl_attempt_begin(attempt, arena, SLICE("external"), initial, &challenge);

    if (result == SASL_RESULT_CHALLENGE && !initial.p && challenge.p && challenge.n == 0)
        result = sasl_attempt_continue(attempt, arena, answer, &challenge);
    if (result == SASL_RESULT_OK)
        sasl_attempt_account(attempt, arena, &account);
    if (challenge.p || account.password_hash.p || account.scram_sha256.p)
        result = SASL_RESULT_NO_MECHANISM;
    if (who)
        *who = account.address;
    sasl_attempt_free(&attempt);
    return result;
}

static void signs_in(void *arg)
{
    struct slice who;

    (void)arg;
    fake.certificate_of = NAME;
    expect(say(SLICE(""), NONE, &who) == SASL_RESULT_OK && slice_equal(who, SLICE(NAME)));
    expect(strcmp(fake.asked, "") == 0 && slice_equal(fake.certificate_addresses, SLICE("Ann@example.test a@b.test")));
    expect(say(NONE, SLICE(""), &who) == SASL_RESULT_OK);
    expect(say(SLICE(NAME), NONE, &who) == SASL_RESULT_OK && strcmp(fake.asked, NAME) == 0);
    expect(fake.certificate_marks == 3 && fake.failures == 0 && fake.verified == 0);
}

static void refused(void *arg)
{
    static char big[LOGIN_NAME_MAX + 1];

    (void)arg;
    fake.certificate = DB_NONE;
    expect(say(SLICE("bob@example.test"), NONE, NULL) == SASL_RESULT_DENIED);
    expect(fake.failures == 1 && fake.certificate_marks == 0);
    expect(say(SLICE("a\0b"), NONE, NULL) == SASL_RESULT_MALFORMED);
    memset(big, 'x', sizeof big);
    fake.asked = NULL;
    expect(say(slice_of(big, sizeof big), NONE, NULL) == SASL_RESULT_DENIED && !fake.asked);
    fake.certificate = DB_FOUND; /* the account is gone, or may not sign in */
    fake.certificate_of = "nobody@example.test";
    expect(say(SLICE(""), NONE, NULL) == SASL_RESULT_DENIED);
    fake.certificate_of = NAME;
    fake.state = DIRECTORY_SUSPENDED;
    expect(say(SLICE(""), NONE, NULL) == SASL_RESULT_DENIED && fake.certificate_marks == 0);
    expect(fake.failures == 4);
}

static void away(void *arg)
{
    (void)arg;
    fake.certificate = DB_FAILED;
    expect(say(SLICE(""), NONE, NULL) == SASL_RESULT_UNAVAILABLE);
    fake.certificate = DB_FOUND;
    fake.certificate_of = NAME;
    fake.account = DB_FAILED;
    expect(say(SLICE(""), NONE, NULL) == SASL_RESULT_UNAVAILABLE && fake.failures == 0);
    fake.account = DB_FOUND;
    fake.banned = NAME;
    expect(say(SLICE(NAME), NONE, NULL) == SASL_RESULT_BANNED);
    fake.banned = "";
    expect(say(SLICE(""), NONE, NULL) == SASL_RESULT_BANNED);
}

static void not_offered(void *arg)
{
    (void)arg;
    expect(one_step("EXTERNAL", true, SLICE("")) == SASL_RESULT_NO_MECHANISM);
}

static void test_with_a_certificate(void **state)
{
    (void)state;
    in_task(signs_in);
}

static void test_refusals(void **state)
{
    (void)state;
    in_task(refused);
}

static void test_the_database_is_away_and_bans(void **state)
{
    (void)state;
    in_task(away);
}

static void test_who_is_offered_it(void **state)
{
    (void)state;
    assert_string_equal(sasl_mechanisms(&(struct sasl_client){.tls = true, .certificate = &certificate}),
                        "EXTERNAL SCRAM-SHA-256 PLAIN LOGIN");
    assert_string_equal(sasl_mechanisms(&(struct sasl_client){.tls = false, .certificate = &certificate}),
                        "SCRAM-SHA-256");
    in_task(not_offered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_with_a_certificate),
        TEST(test_refusals),
        TEST(test_the_database_is_away_and_bans),
        TEST(test_who_is_offered_it),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
