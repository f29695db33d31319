/*
 * authorize: every combination of what the decision depends on, held against the table in its essay.
 *
 * The exhaustive tests state the rule a second time, as one expression, and compare; the others check words and
 * codes that people and programs rely on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/authorize.h"

#define CUSTOMER 7
#define OTHER_CUSTOMER 8

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

static struct directory_account account = {.id = 1, .customer_id = CUSTOMER, .address = {"alice@example.test", 18}};
static struct directory_network network = {.id = 2, .customer_id = CUSTOMER};

static struct authorize_client make_client(enum authorize_role role, bool signed_in, bool in_network)
{
    return (struct authorize_client){role, "192.0.2.1", signed_in ? &account : NULL, in_network ? &network : NULL};
}

static void test_sender(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 32; bits++) {
        bool submission = bits & 1, signed_in = bits & 2, active = bits & 4, null = bits & 8, owned = bits & 16;
        struct authorize_client client =
            make_client(submission ? AUTHORIZE_SUBMISSION : AUTHORIZE_MX, signed_in, false);
        struct authorize_sender sender = {null ? SLICE("") : SLICE("bob@example.test"), owned, 0};
        struct authorize_decision decision;

        account.active = active;
        authorize_sender(arena, &client, &sender, &decision);
        bool allowed = !submission || (signed_in && active && (null || owned));
        assert_int_equal(decision.verdict, allowed ? AUTHORIZE_ALLOWED : AUTHORIZE_DENIED);
        assert_int_equal(decision.code, allowed ? 250 : signed_in ? 550 : 530);
        assert_string_equal(decision.enhanced, allowed ? "2.1.0" : signed_in ? "5.7.1" : "5.7.0");
    }
}

/* Whoever asks: a recipient of ours is decided by what the recipient is. */
static void test_recipient_ours(void **state)
{
    (void)state;
    account.active = true;
    for (unsigned bits = 0; bits < 128; bits++) {
        bool submission = bits & 1, signed_in = bits & 2, in_network = bits & 4, relay = bits & 8;
        bool customer_active = bits & 16, exists = bits & 32, active = bits & 64;
        struct authorize_client client =
            make_client(submission ? AUTHORIZE_SUBMISSION : AUTHORIZE_MX, signed_in, in_network);
        struct authorize_sender sender = {SLICE("stranger@elsewhere.test"), signed_in, 0};
        struct directory_recipient recipient = {
            .has_domain = true,
            .domain = {.kind = relay ? DIRECTORY_RELAY : DIRECTORY_HOSTED, .customer_active = customer_active},
            .has_account = exists,
            .account = {.active = active},
        };
        struct authorize_decision decision;

        authorize_recipient(arena, &client, &sender, SLICE("bob@example.test"), false, &recipient, &decision);
        if (submission && !signed_in) {
            assert_int_equal(decision.code, 530);
            continue;
        }
        enum authorize_verdict expected = relay     ? (customer_active ? AUTHORIZE_RELAY : AUTHORIZE_DENIED)
                                          : !exists ? AUTHORIZE_UNKNOWN
                                          : active && customer_active ? AUTHORIZE_MAILBOX
                                                                      : AUTHORIZE_DENIED;
        assert_int_equal(decision.verdict, expected);
        const char *enhanced = expected == AUTHORIZE_UNKNOWN  ? "5.1.1"
                               : expected == AUTHORIZE_DENIED ? "5.2.1"
                                                              : "2.1.5";
        assert_string_equal(decision.enhanced, enhanced);
        assert_false(authorize_needs_grant(&client, &recipient));
    }
}

/* To outside: an account, or a network with a sender that it may use; never anything else. */
static void test_recipient_outside(void **state)
{
    static const int64_t owners[] = {0, CUSTOMER, OTHER_CUSTOMER};
    (void)state;
    account.active = true;
    for (unsigned bits = 0; bits < 64; bits++) {
        for (unsigned i = 0; i < 3; i++) {
            bool submission = bits & 1, signed_in = bits & 2, in_network = bits & 4, active = bits & 8;
            bool null = bits & 16, literal = bits & 32;
            if (signed_in && !submission)
                continue; /* port 25 offers no AUTH */
            network.customer_active = active;
            struct authorize_client client =
                make_client(submission ? AUTHORIZE_SUBMISSION : AUTHORIZE_MX, signed_in, in_network);
            struct authorize_sender sender = {null ? SLICE("") : SLICE("x@y.test"), signed_in, null ? 0 : owners[i]};
            struct directory_recipient recipient = {0};
            struct authorize_decision decision;

            authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), literal, &recipient, &decision);
            bool granted = submission ? signed_in : in_network && active && (null || owners[i] == CUSTOMER);
            assert_int_equal(decision.verdict, granted && !literal ? AUTHORIZE_OUTSIDE : AUTHORIZE_DENIED);
            assert_int_equal(authorize_needs_grant(&client, &recipient), !submission);
            if (!granted)
                assert_int_equal(decision.code, submission ? 530 : 550);
            if (!granted && !submission)
                assert_string_equal(decision.enhanced, "5.7.1");
        }
    }
}

static void test_words(void **state)
{
    struct authorize_client client = make_client(AUTHORIZE_SUBMISSION, true, false);
    struct authorize_sender sender = {SLICE("bob@example.test"), false, 0};
    struct directory_recipient outside = {0};
    struct authorize_decision decision;
    (void)state;

    account.active = true;
    authorize_sender(arena, &client, &sender, &decision);
    assert_string_equal(decision.text, "alice@example.test may not send as <bob@example.test>; it may send as its own "
                                       "address and its aliases");
    assert_string_equal(decision.reason, "sender-not-owned");

    client = make_client(AUTHORIZE_MX, false, false);
    authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
    assert_string_equal(decision.text, "<a@outside.test>: relaying denied: 192.0.2.1 is not in a network that may "
                                       "relay through this server");

    network.customer_active = true;
    client = make_client(AUTHORIZE_MX, false, true);
    sender.customer_id = OTHER_CUSTOMER;
    authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
    assert_string_equal(decision.text,
                        "<a@outside.test>: relaying denied: the network of 192.0.2.1 may send as addresses in its "
                        "customer's domains, and <bob@example.test> is none");
    assert_string_equal(decision.reason, "sender-not-granted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sender, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recipient_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recipient_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_words, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
