/*
 * sasl: PLAIN and LOGIN, and what all mechanisms have in common: what is not offered, a database that is away, the
 * same work for yes and no, attempts side by side and attempts given up.  SCRAM's own dialogue is in
 * test_protocols_sasl_scram.c.
 */
#include "tests/unit/sasl_harness.h"

/*
 * ------------------------------------------------------------------ PLAIN and LOGIN (RFC 4616,
 * draft-murchison-sasl-login)
 */

static void plain(void *arg)
{
    struct sasl_attempt *attempt = new_attempt("imap", true);
    struct directory_account account;
    struct slice challenge;

    (void)arg;
    expect(sasl_attempt_begin(attempt, arena, SLICE("plain"), SLICE("\0" NAME "\0pencil"), &challenge) ==
           SASL_RESULT_OK);
    expect(!challenge.p);
    sasl_attempt_account(attempt, arena, &account);
    sasl_attempt_free(&attempt);
    expect(!attempt);
    expect(account.id == 17 && account.inbox_id == 18 && account.cell == 3 && account.state == DIRECTORY_ACTIVE);
    expect(slice_equal(account.address, SLICE(NAME))); /* the attempt is gone, this is not */
    expect(!account.password_hash.p && !account.scram_sha256.p);
    expect(fake.look_ups == 1 && fake.upgrades == 1);

    expect(one_step("PLAIN", true, SLICE(NAME "\0" NAME "\0pencil")) == SASL_RESULT_OK); /* as oneself */
    expect(one_step("PLAIN", true, SLICE("\0ANN@EXAMPLE.test\0pencil")) == SASL_RESULT_OK);

    attempt = new_attempt("imap", true); /* without an initial response */
    expect(sasl_attempt_begin(attempt, arena, SLICE("PLAIN"), NONE, &challenge) == SASL_RESULT_CHALLENGE);
    expect(challenge.p && challenge.n == 0);
    expect(sasl_attempt_continue(attempt, arena, SLICE("\0" NAME "\0pencil"), &challenge) == SASL_RESULT_OK);
    sasl_attempt_free(&attempt);
}

static void test_plain(void **state)
{
    (void)state;
    in_task(plain);
}

static void plain_refused(void *arg)
{
    static const struct slice wrong[] = {SLICE("\0" NAME "\0Pencil"), SLICE("\0" NAME "\0pencil "),
                                         SLICE("\0nobody@example.test\0pencil"),
                                         SLICE("bob@example.test\0" NAME "\0pencil")};
    static const struct slice malformed[] = {SLICE(""),
                                             SLICE("\0"),
                                             SLICE("\0\0"),
                                             SLICE(NAME),
                                             SLICE("\0" NAME),
                                             SLICE("\0" NAME "\0"),
                                             SLICE("\0\0pencil"),
                                             SLICE("\0" NAME "\0pencil\0"),
                                             SLICE("\0" NAME "\0pencil\0more")};
    char *huge = arena_alloc(arena, 20000);

    (void)arg;
    for (unsigned i = 0; i < COUNT(wrong); i++)
        expect(one_step("PLAIN", true, wrong[i]) == SASL_RESULT_DENIED);
    for (unsigned i = 0; i < COUNT(malformed); i++) {
        enum sasl_result result = one_step("PLAIN", true, malformed[i]);

        expect(result == SASL_RESULT_MALFORMED || result == SASL_RESULT_DENIED);
    }
    expect(one_step("PLAIN", true, SLICE("no separators at all")) == SASL_RESULT_MALFORMED);

    memset(huge, 'a', 20000);
    huge[0] = huge[10000] = '\0';
    expect(one_step("PLAIN", true, slice_of(huge, 20000)) == SASL_RESULT_DENIED);
    huge[1100] = '\0'; /* a name too long to be one; libsasl would keep it for ever */
    expect(one_step("PLAIN", true, slice_of(huge, 1110)) == SASL_RESULT_DENIED);
    expect(one_step("PLAIN", true, SLICE("\0 \0pencil")) == SASL_RESULT_DENIED);
}

static void test_plain_refused(void **state)
{
    (void)state;
    in_task(plain_refused);
}

static enum sasl_result login(const char *name, const char *password, struct slice *first, struct slice *second)
{
    struct sasl_attempt *attempt = new_attempt("smtp", true);
    struct slice nothing;
    enum sasl_result result = sasl_attempt_begin(attempt, arena, SLICE("LOGIN"), NONE, first);

    if (result == SASL_RESULT_CHALLENGE)
        result = sasl_attempt_continue(attempt, arena, slice_str(name), second);
    if (result == SASL_RESULT_CHALLENGE)
        result = sasl_attempt_continue(attempt, arena, slice_str(password), &nothing);
    sasl_attempt_free(&attempt);
    return result;
}

static void login_dialogue(void *arg)
{
    struct sasl_attempt *attempt = new_attempt("smtp", true);
    struct slice first, second;

    (void)arg;
    expect(login(NAME, "pencil", &first, &second) == SASL_RESULT_OK);
    expect(slice_equal(first, SLICE("Username:")) && slice_equal(second, SLICE("Password:")));
    expect(login(NAME, "Pencil", &first, &second) == SASL_RESULT_DENIED);
    expect(login("nobody@example.test", "pencil", &first, &second) == SASL_RESULT_DENIED);
    expect(slice_equal(second, SLICE("Password:"))); /* one is asked for all the same */
    expect(login(NAME, "", &first, &second) != SASL_RESULT_OK);
    expect(login("", "pencil", &first, &second) == SASL_RESULT_DENIED);
    expect(login(" \t ", "pencil", &first, &second) == SASL_RESULT_DENIED);

    /* The name as initial response, as some clients do */
    expect(sasl_attempt_begin(attempt, arena, SLICE("LOGIN"), SLICE(NAME), &second) == SASL_RESULT_CHALLENGE);
    expect(slice_equal(second, SLICE("Password:")));
    expect(sasl_attempt_continue(attempt, arena, SLICE("pencil"), &second) == SASL_RESULT_OK);
    sasl_attempt_free(&attempt);
}

static void test_login(void **state)
{
    (void)state;
    in_task(login_dialogue);
}

/* ------------------------------------------------------------------ what all have in common */

static void refusals(void *arg)
{
    static const char *const unknown[] = {
        "",       "CRAM-MD5",           "DIGEST-MD5",  "ANONYMOUS", "EXTERNAL", "SCRAM-SHA-1",
        "GSSAPI", "SCRAM-SHA-256-PLUS", "PLAIN LOGIN", "PLAI",      "PLAINX",   "SCRAM-SHA-256 PLAIN",
        "-"};

    (void)arg;
    for (unsigned i = 0; i < COUNT(unknown); i++)
        expect(one_step(unknown[i], true, SLICE("\0" NAME "\0pencil")) == SASL_RESULT_NO_MECHANISM);
    expect(one_step("PLAIN", false, SLICE("\0" NAME "\0pencil")) == SASL_RESULT_NO_MECHANISM);
    expect(one_step("login", false, NONE) == SASL_RESULT_NO_MECHANISM);
    expect(fake.look_ups == 0 && fake.verified == 0); /* a password in clear is not even tried */
}

static void test_mechanisms_that_are_not_offered(void **state)
{
    (void)state;
    assert_string_equal(sasl_mechanisms(&(struct sasl_client){.tls = true}), "SCRAM-SHA-256 PLAIN LOGIN");
    assert_string_equal(sasl_mechanisms(&(struct sasl_client){.tls = false}), "SCRAM-SHA-256");
    in_task(refusals);
}

static void away(void *arg)
{
    struct slice first, second, signature, data;
    struct directory_account account;
    struct scram scram;

    (void)arg;
    fake.account = DB_FAILED;
    expect(one_step("PLAIN", true, SLICE("\0" NAME "\0pencil")) == SASL_RESULT_UNAVAILABLE);
    expect(login(NAME, "pencil", &first, &second) == SASL_RESULT_UNAVAILABLE);
    expect(scram_login(NAME, "pencil", true, &scram, &signature, &data) == SASL_RESULT_UNAVAILABLE);
    expect(password(SLICE(NAME), SLICE("pencil"), &account) == SASL_RESULT_UNAVAILABLE);
    fake.account = DB_NONE;
    fake.salt_key = DB_FAILED; /* even who does not exist is not denied then */
    expect(scram_login("nobody@example.test", "x", true, &scram, &signature, &data) == SASL_RESULT_UNAVAILABLE);
    fake.stand_in = DB_FAILED;
    expect(one_step("PLAIN", true, SLICE("\0nobody@example.test\0pencil")) == SASL_RESULT_UNAVAILABLE);
    expect(password(SLICE("nobody@example.test"), SLICE("pencil"), &account) == SASL_RESULT_UNAVAILABLE);
}

static void test_the_database_is_away(void **state)
{
    (void)state;
    in_task(away);
}

static void app_passwords(void *arg)
{
    struct directory_account account;

    (void)arg;
    expect(one_step("PLAIN", true, SLICE("\0" NAME "\0" APP_PASSWORD)) == SASL_RESULT_OK);
    expect(fake.marks == 1 && fake.verified == 0 && fake.upgrades == 0);
    expect(password(SLICE(NAME), SLICE(APP_PASSWORD), &account) == SASL_RESULT_OK && account.id == 17);
    expect(fake.marks == 2);
    expect(one_step("PLAIN", true, SLICE("\0nobody@example.test\0" APP_PASSWORD)) == SASL_RESULT_DENIED);
    expect(fake.app_look_ups == 3 && fake.verified == 1 && fake.stood_in == 1);
    expect(password(SLICE(NAME), SLICE("pencil"), &account) == SASL_RESULT_OK); /* beside the account's own */

    fake.app_refused = "expired"; /* costs what a wrong password costs */
    expect(password(SLICE(NAME), SLICE(APP_PASSWORD), &account) == SASL_RESULT_DENIED);
    expect(fake.verified == 3 && fake.marks == 2);
    fake.app_refused = NULL;
    fake.state = DIRECTORY_SUSPENDED;
    expect(password(SLICE(NAME), SLICE(APP_PASSWORD), &account) == SASL_RESULT_DENIED);
    fake.state = DIRECTORY_ACTIVE;
    fake.app_failed = true;
    expect(password(SLICE(NAME), SLICE(APP_PASSWORD), &account) == SASL_RESULT_UNAVAILABLE);
    expect(one_step("PLAIN", true, SLICE("\0" NAME "\0" APP_PASSWORD)) == SASL_RESULT_UNAVAILABLE);
}

static void test_app_passwords(void **state)
{
    (void)state;
    in_task(app_passwords);
}

/* The password is not looked at, nor is anybody looked up; who is not banned fails, and that counts. */
static void bans(void *arg)
{
    struct slice signature, data, first, second;
    struct directory_account account;
    struct scram scram;

    (void)arg;
    fake.banned = NAME;
    expect(one_step("PLAIN", true, SLICE("\0" NAME "\0pencil")) == SASL_RESULT_BANNED);
    expect(login(NAME, "pencil", &first, &second) == SASL_RESULT_BANNED);
    expect(scram_login(NAME, "pencil", true, &scram, &signature, &data) == SASL_RESULT_BANNED);
    expect(password(SLICE(NAME), SLICE("pencil"), &account) == SASL_RESULT_BANNED);
    expect(fake.look_ups == 0 && fake.verified == 0 && fake.failures == 0);
    expect(one_step("PLAIN", true, SLICE("\0nobody@example.test\0pencil")) == SASL_RESULT_DENIED);
    expect(password(SLICE("nobody@example.test"), SLICE("pencil"), &account) == SASL_RESULT_DENIED);
    expect(fake.failures == 2);
    fake.banned = ""; /* the address: before anything else */
    expect(one_step("PLAIN", true, NONE) == SASL_RESULT_BANNED);
    expect(scram_login("nobody@example.test", "x", true, &scram, &signature, &data) == SASL_RESULT_BANNED);
    fake.banned = NULL;
    expect(scram_login(NAME, "wrong", true, &scram, &signature, &data) == SASL_RESULT_DENIED);
    expect(fake.failures == 3);
    expect(one_step("PLAIN", true, SLICE("\0" NAME "\0pencil")) == SASL_RESULT_OK);
    fake.account = DB_FAILED; /* no fault of the client's */
    expect(one_step("PLAIN", true, SLICE("\0" NAME "\0pencil")) == SASL_RESULT_UNAVAILABLE);
    expect(fake.failures == 3);
}

static void test_bans(void **state)
{
    (void)state;
    in_task(bans);
}

/* Whoever it is, a hash is computed, once: his own, or another's whose password proves nothing. */
static void same_work(void *arg)
{
    struct directory_account account;

    (void)arg;
    expect(one_step("PLAIN", true, SLICE("\0" NAME "\0wrong")) == SASL_RESULT_DENIED);
    expect(fake.verified == 1 && fake.stood_in == 0);
    expect(one_step("PLAIN", true, SLICE("\0nobody@example.test\0pencil")) == SASL_RESULT_DENIED);
    expect(fake.verified == 2 && fake.stood_in == 1);
    expect(password(SLICE("nobody@example.test"), SLICE("pencil"), &account) == SASL_RESULT_DENIED);
    expect(fake.verified == 3 && fake.stood_in == 2);
    fake.stand_in = DB_NONE;
    expect(password(SLICE("nobody@elsewhere.test"), SLICE("pencil"), &account) == SASL_RESULT_DENIED);
    expect(fake.verified == 4 && fake.stood_in == 2);
    fake.state = DIRECTORY_SUSPENDED;
    expect(one_step("PLAIN", true, SLICE("\0" NAME "\0pencil")) == SASL_RESULT_DENIED);
    expect(password(SLICE(NAME), SLICE("pencil"), &account) == SASL_RESULT_DENIED);
    expect(fake.verified == 6 && fake.stood_in == 2 && fake.upgrades == 0);
}

static void test_yes_and_no_cost_the_same(void **state)
{
    (void)state;
    in_task(same_work);
}

/* Who only receives signs in to send, too, and is told why not at MAIL; who only sends reads nothing. */
static void states(void *arg)
{
    static const struct {
        enum directory_state state;
        bool submits, reads;
    } cases[] = {{DIRECTORY_ACTIVE, true, true},
                 {DIRECTORY_SUSPENDED, false, false},
                 {DIRECTORY_RECEIVE_ONLY, true, true},
                 {DIRECTORY_SEND_ONLY, true, false},
                 {DIRECTORY_CLOSED, false, false}};
    struct directory_account account;

    (void)arg;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        struct sasl_attempt *attempt = new_attempt("smtp", true);
        struct slice challenge, message = SLICE("\0" NAME "\0pencil");
        enum sasl_result reads = cases[i].reads ? SASL_RESULT_OK : SASL_RESULT_DENIED;

        fake.state = cases[i].state;
        expect((sasl_attempt_begin(attempt, arena, SLICE("PLAIN"), message, &challenge) == SASL_RESULT_OK) ==
               cases[i].submits);
        sasl_attempt_free(&attempt);
        expect(one_step("PLAIN", true, message) == reads); /* IMAP */
        expect(password(SLICE(NAME), SLICE("pencil"), &account) == reads);
    }
}

static void test_states_of_accounts(void **state)
{
    (void)state;
    in_task(states);
}

static void by_password(void *arg)
{
    struct directory_account account;
    char *endless = arena_alloc(arena, 400);

    (void)arg;
    expect(password(SLICE(NAME), SLICE("pencil"), &account) == SASL_RESULT_OK);
    expect(account.id == 17 && slice_equal(account.address, SLICE(NAME)));
    expect(!account.password_hash.p && !account.scram_sha256.p);
    expect(password(SLICE(NAME), SLICE("Pencil"), &account) == SASL_RESULT_DENIED);
    fake.look_ups = 0;
    memset(endless, 'a', 400);
    expect(password(slice_of(endless, 400), SLICE("pencil"), &account) == SASL_RESULT_DENIED);
    expect(fake.look_ups == 0);
}

static void test_a_password_without_a_mechanism(void **state)
{
    (void)state;
    in_task(by_password);
}

/* Each sleeps in its look-up while the others go on: no attempt sees another's account. */
static void one_of_many(void *arg)
{
    unsigned i = *(unsigned *)arg;
    struct slice signature, data;
    struct scram scram;

    if (i % 3 == 0)
        expect(scram_login(NAME, "pencil", true, &scram, &signature, &data) == SASL_RESULT_OK);
    if (i % 3 == 1)
        expect(scram_login("nobody@example.test", "pencil", true, &scram, &signature, &data) == SASL_RESULT_DENIED);
    if (i % 3 == 2)
        expect(one_step("PLAIN", true, SLICE("\0" NAME "\0pencil")) == SASL_RESULT_OK);
}

static void test_attempts_side_by_side(void **state)
{
    unsigned number[30];

    (void)state;
    for (unsigned i = 0; i < COUNT(number); i++) {
        number[i] = i;
        begin_task(one_of_many, &number[i]);
    }
    run_tasks();
}

/* A client that goes away, or says "*", leaves an attempt anywhere. */
static void abandoned(void *arg)
{
    struct sasl_attempt *attempt = new_attempt("smtp", true), *none = NULL;
    struct scram scram = {.user = NAME, .password = "pencil", .nonce = "rOprNGfwEbeRWgbNEkqO"};
    struct slice data;

    (void)arg;
    sasl_attempt_free(&attempt); /* not begun */
    sasl_attempt_free(&none);
    attempt = new_attempt("smtp", true);
    expect(sasl_attempt_begin(attempt, arena, SLICE("SCRAM-SHA-256"), scram_first(&scram), &data) ==
           SASL_RESULT_CHALLENGE);
    sasl_attempt_free(&attempt);
    attempt = new_attempt("smtp", true);
    expect(sasl_attempt_begin(attempt, arena, SLICE("LOGIN"), NONE, &data) == SASL_RESULT_CHALLENGE);
    sasl_attempt_free(&attempt);
    expect(!attempt);
}

static void test_attempts_left_alone(void **state)
{
    (void)state;
    in_task(abandoned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_plain),
        TEST(test_plain_refused),
        TEST(test_login),
        TEST(test_mechanisms_that_are_not_offered),
        TEST(test_the_database_is_away),
        TEST(test_bans),
        TEST(test_app_passwords),
        TEST(test_yes_and_no_cost_the_same),
        TEST(test_states_of_accounts),
        TEST(test_a_password_without_a_mechanism),
        TEST(test_attempts_side_by_side),
        TEST(test_attempts_left_alone),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
