/* OAUTHBEARER and XOAUTH2: the dialogue.  Messages and tokens: test_protocols_oauth.c. */
#include "tests/unit/sasl_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define BEARER(account, token) SLICE("n," account ",\1auth=Bearer " token "\1\1")
#define XOAUTH2(account, token) SLICE("user=" account "\1auth=Bearer " token "\1\1")

/* The first answer, and what is said to its challenge. */
static enum sasl_result say(const char *mechanism, struct slice message, const char **told)
{
    struct sasl_attempt *attempt = new_attempt("imap", true);
    struct slice challenge = {0};
    enum sasl_result result = sasl_attempt_begin(attempt, arena, slice_str(mechanism), message, &challenge);

    *told = challenge.p ? arena_slicedup(arena, challenge) : "";
    if (result == SASL_RESULT_CHALLENGE)
        result = sasl_attempt_continue(attempt, arena, SLICE("\1"), &challenge);
    sasl_attempt_free(&attempt);
    return result;
}

static void dialogue(void *arg)
{
    const char *told;

    (void)arg;
    fake.oauth = true;
    fake.certificate_of = NAME;
    expect(say("OAUTHBEARER", BEARER("", "good.token-1"), &told) == SASL_RESULT_OK && !*told);
    expect(say("oauthbearer", BEARER("a=" NAME, "good.token-1"), &told) == SASL_RESULT_OK);
    expect(say("XOAUTH2", XOAUTH2(NAME, "good.token-1"), &told) == SASL_RESULT_OK && fake.failures == 0);

    expect(say("OAUTHBEARER", BEARER("a=bob@example.test", "good.token-1"), &told) == SASL_RESULT_DENIED);
    expect(strcmp(told, "{\"status\":\"invalid_token\",\"scope\":\"mail\"}") == 0 && fake.failures == 1); /* once */
    expect(say("XOAUTH2", XOAUTH2(NAME, "other"), &told) == SASL_RESULT_DENIED);
    expect(strcmp(told, "{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"mail\"}") == 0 && fake.failures == 2);
    fake.state = DIRECTORY_SUSPENDED;
    expect(say("OAUTHBEARER", BEARER("", "good.token-1"), &told) == SASL_RESULT_DENIED && *told && fake.failures == 3);
    fake.state = DIRECTORY_ACTIVE;
    expect(say("OAUTHBEARER", SLICE("nonsense"), &told) == SASL_RESULT_MALFORMED && !*told && fake.failures == 3);
    expect(say("XOAUTH2", BEARER("", "good.token-1"), &told) == SASL_RESULT_MALFORMED);
}

static void away(void *arg)
{
    const char *told;

    (void)arg;
    fake.oauth = true;
    fake.certificate_of = NAME;
    fake.token = OAUTH_UNAVAILABLE;
    expect(say("OAUTHBEARER", BEARER("", "good.token-1"), &told) == SASL_RESULT_UNAVAILABLE && !*told);
    fake.token = OAUTH_YES;
    fake.account = DB_FAILED;
    expect(say("OAUTHBEARER", BEARER("", "good.token-1"), &told) == SASL_RESULT_UNAVAILABLE && fake.failures == 0);
    fake.account = DB_FOUND;
    fake.banned = NAME;
    expect(say("OAUTHBEARER", BEARER("a=" NAME, "good.token-1"), &told) == SASL_RESULT_BANNED);
    expect(say("OAUTHBEARER", BEARER("", "good.token-1"), &told) == SASL_RESULT_BANNED);
    fake.banned = "";
    expect(say("XOAUTH2", XOAUTH2(NAME, "good.token-1"), &told) == SASL_RESULT_BANNED && fake.failures == 0);
}

static void not_offered(void *arg)
{
    (void)arg;
    expect(one_step("OAUTHBEARER", true, BEARER("", "good.token-1")) == SASL_RESULT_NO_MECHANISM);
    fake.oauth = true;
    expect(one_step("OAUTHBEARER", false, BEARER("", "good.token-1")) == SASL_RESULT_NO_MECHANISM);
    expect(one_step("XOAUTH2", false, BEARER("", "good.token-1")) == SASL_RESULT_NO_MECHANISM);
}

static void test_dialogue(void **state)
{
    (void)state;
    in_task(dialogue);
}

static void test_away_and_bans(void **state)
{
    (void)state;
    in_task(away);
}

static void test_where_it_is_offered(void **state)
{
    (void)state;
    in_task(not_offered);
    fake.oauth = true;
    assert_string_equal(sasl_mechanisms(&(struct sasl_client){.tls = true}),
                        "SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN");
    assert_string_equal(sasl_mechanisms(&(struct sasl_client){.tls = false}), "SCRAM-SHA-256");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_dialogue), TEST(test_away_and_bans), TEST(test_where_it_is_offered)};
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
