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

#include "core/id.h"
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
    return (struct authorize_client){
        .role = role,
        .address = "192.0.2.1",
        .account = signed_in ? &account : NULL,
        .network = in_network ? &network : NULL,
        .size_max = 10000,
    };
}

static void test_sender(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 32; bits++) {
        bool submission = bits & 1, signed_in = bits & 2, active = bits & 4, null = bits & 8, owned = bits & 16;
        struct authorize_client client =
            make_client(submission ? AUTHORIZE_SUBMISSION : AUTHORIZE_MX, signed_in, false);
        struct authorize_sender sender = {null ? SLICE("") : SLICE("bob@example.test"), owned, 0, 0, 0};
        struct authorize_decision decision;

        account.state = active ? DIRECTORY_ACTIVE : DIRECTORY_SUSPENDED;
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
    account.state = DIRECTORY_ACTIVE;
    for (unsigned bits = 0; bits < 128; bits++) {
        bool submission = bits & 1, signed_in = bits & 2, in_network = bits & 4, relay = bits & 8;
        bool customer_active = bits & 16, exists = bits & 32, active = bits & 64;
        struct authorize_client client =
            make_client(submission ? AUTHORIZE_SUBMISSION : AUTHORIZE_MX, signed_in, in_network);
        struct authorize_sender sender = {SLICE("stranger@elsewhere.test"), signed_in, 0, 0, 0};
        struct directory_recipient recipient = {
            .has_domain = true,
            .domain = {.kind = relay ? DIRECTORY_RELAY : DIRECTORY_HOSTED, .customer_active = customer_active},
            .has_account = exists,
            .account = {.state = active ? DIRECTORY_ACTIVE : DIRECTORY_SUSPENDED},
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

/* A split domain: who is here is here, whatever becomes of him; everybody else is elsewhere. */
static void test_recipient_elsewhere(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        bool exists = bits & 1, active = bits & 2, closed = bits & 4, customer_active = bits & 8;
        struct authorize_client client = make_client(AUTHORIZE_MX, false, false);
        struct authorize_sender sender = {SLICE("stranger@elsewhere.test"), false, 0, 0, 0};
        struct directory_recipient recipient = {
            .has_domain = true,
            .domain = {.kind = DIRECTORY_HOSTED, .elsewhere = true, .customer_active = customer_active},
            .has_account = exists,
            .account = {.state = closed   ? DIRECTORY_CLOSED
                                 : active ? DIRECTORY_ACTIVE
                                          : DIRECTORY_SUSPENDED},
        };
        struct authorize_decision decision;

        authorize_recipient(arena, &client, &sender, SLICE("bob@example.test"), false, &recipient, &decision);
        assert_int_equal(decision.verdict, !exists  ? (customer_active ? AUTHORIZE_RELAY : AUTHORIZE_DENIED)
                                           : closed ? AUTHORIZE_UNKNOWN
                                           : active && customer_active ? AUTHORIZE_MAILBOX
                                                                       : AUTHORIZE_DENIED);
    }
}

/* A relay domain that lists its recipients: who is listed, and who is here and not closed. */
static void test_recipient_listed(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        bool asks = bits & 1, listed = bits & 2, exists = bits & 4, closed = bits & 8;
        struct authorize_client client = make_client(AUTHORIZE_MX, false, false);
        struct authorize_sender sender = {SLICE("stranger@elsewhere.test"), false, 0, 0, 0};
        struct directory_recipient recipient = {
            .has_domain = true,
            .domain = {.kind = DIRECTORY_RELAY,
                       .customer_active = true,
                       .valid = asks ? DIRECTORY_VALID_LISTED : DIRECTORY_VALID_ANY},
            .listed = listed,
            .has_account = exists,
            .account = {.state = closed ? DIRECTORY_CLOSED : DIRECTORY_SUSPENDED},
        };
        struct authorize_decision decision;

        authorize_recipient(arena, &client, &sender, SLICE("bob@example.test"), false, &recipient, &decision);
        bool taken = !asks || listed || (exists && !closed);
        assert_int_equal(decision.verdict, taken ? AUTHORIZE_RELAY : AUTHORIZE_UNKNOWN);
        assert_string_equal(decision.enhanced, taken ? "2.1.5" : "5.1.1");
    }
}

/* To outside: an account, or a network with a sender that it may use; never anything else. */
static void test_recipient_outside(void **state)
{
    static const int64_t owners[] = {0, CUSTOMER, OTHER_CUSTOMER};
    (void)state;
    account.state = DIRECTORY_ACTIVE;
    for (unsigned bits = 0; bits < 64; bits++) {
        for (unsigned i = 0; i < 3; i++) {
            bool submission = bits & 1, signed_in = bits & 2, in_network = bits & 4, active = bits & 8;
            bool null = bits & 16, literal = bits & 32;
            if (signed_in && !submission)
                continue; /* port 25 offers no AUTH */
            network.customer_active = active;
            struct authorize_client client =
                make_client(submission ? AUTHORIZE_SUBMISSION : AUTHORIZE_MX, signed_in, in_network);
            struct authorize_sender sender = {null ? SLICE("") : SLICE("x@y.test"), signed_in, null ? 0 : owners[i], 0,
                                              0};
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
    struct authorize_sender sender = {SLICE("bob@example.test"), false, 0, 0, 0};
    struct directory_recipient outside = {0};
    struct authorize_decision decision;
    (void)state;

    account.state = DIRECTORY_ACTIVE;
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

static void test_states(void **state)
{
    static const struct {
        enum directory_state state;
        unsigned mail, rcpt;
        const char *enhanced; /* to RCPT */
    } cases[] = {
        {DIRECTORY_ACTIVE, 250, 250, "2.1.5"},       {DIRECTORY_SUSPENDED, 550, 550, "5.2.1"},
        {DIRECTORY_RECEIVE_ONLY, 550, 250, "2.1.5"}, {DIRECTORY_SEND_ONLY, 250, 550, "5.2.1"},
        {DIRECTORY_CLOSED, 550, 550, "5.1.1"},
    };
    struct authorize_sender sender = {SLICE("alice@example.test"), true, 0, 0, 0};
    struct authorize_decision decision;

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct directory_recipient recipient = {.has_domain = true,
                                                .domain = {.customer_active = true},
                                                .has_account = true,
                                                .account = {.state = cases[i].state}};
        struct authorize_client submitter = make_client(AUTHORIZE_SUBMISSION, true, false);
        struct authorize_client stranger = make_client(AUTHORIZE_MX, false, false);

        account.state = cases[i].state;
        authorize_sender(arena, &submitter, &sender, &decision);
        assert_int_equal(decision.code, cases[i].mail);
        authorize_recipient(arena, &stranger, &sender, SLICE("alice@example.test"), false, &recipient, &decision);
        assert_int_equal(decision.code, cases[i].rcpt);
        assert_string_equal(decision.enhanced, cases[i].enhanced);
    }
}

/* ------------------------------------------------------------------ grants */

static struct slice sender_domains[] = {{"y.test", 6}}, recipient_domains[] = {{"outside.test", 12}};

static struct directory_grant make_grant(unsigned senders, unsigned recipients)
{
    return (struct directory_grant){
        .id = 1234567,
        .customer_id = CUSTOMER,
        .customer_active = true,
        .senders = senders,
        .recipients = recipients,
        .sender_domains = sender_domains,
        .sender_domain_count = 1,
        .recipient_domains = recipient_domains,
        .recipient_domain_count = 1,
        .at_limit = DIRECTORY_LIMIT_DEFER,
    };
}

/*
 * One grant, every combination of what it can say and what is asked: granted, or refused with the code of what is
 * missing.
 */
static void test_one_grant(void **state)
{
    (void)state;
    account.state = DIRECTORY_ACTIVE;
    for (unsigned bits = 0; bits < 1u << 13; bits++) {
        bool submission = bits & 1, owned = bits & 2, null = bits & 4, in_domain = bits & 8, to_domain = bits & 16;
        bool to_customer = bits & 32, tls_required = bits & 64, tls = bits & 128, too_big = bits & 256;
        unsigned senders = bits >> 9 & 3, recipients = bits >> 11 & 3;
        if (senders > DIRECTORY_SENDERS_ANY || recipients > DIRECTORY_RECIPIENTS_CUSTOMER ||
            (to_customer && !submission))
            continue; /* from port 25 our own recipients need no grant */
        struct directory_grant grant = make_grant(senders, recipients);
        grant.tls_required = tls_required;
        grant.size_max = 1000;
        struct authorize_client client =
            make_client(submission ? AUTHORIZE_SUBMISSION : AUTHORIZE_MX, submission, false);
        client.grants = (struct directory_grants){&grant, 1};
        client.tls = tls;
        struct authorize_sender sender = {null        ? SLICE("")
                                          : in_domain ? SLICE("x@Y.test")
                                                      : SLICE("x@z.test"),
                                          owned, owned ? CUSTOMER : OTHER_CUSTOMER, too_big ? 1001 : 1000, 0};
        struct directory_recipient recipient = {
            .has_domain = to_customer,
            .domain = {.customer_id = CUSTOMER, .kind = DIRECTORY_RELAY, .customer_active = true}};
        struct authorize_decision decision;

        bool sender_ok = null || senders == DIRECTORY_SENDERS_ANY || (senders == DIRECTORY_SENDERS_OWN && owned) ||
                         (senders == DIRECTORY_SENDERS_DOMAINS && in_domain);
        bool recipient_ok = recipients == DIRECTORY_RECIPIENTS_ANY ||
                            (recipients == DIRECTORY_RECIPIENTS_DOMAINS && to_domain) ||
                            (recipients == DIRECTORY_RECIPIENTS_CUSTOMER && to_customer);
        unsigned code = !sender_ok ? 550 : !recipient_ok ? 550 : tls_required && !tls ? 530 : too_big ? 552 : 250;
        authorize_recipient(arena, &client, &sender, to_domain ? SLICE("a@OUTSIDE.test") : SLICE("a@else.test"), false,
                            &recipient, &decision);
        assert_int_equal(decision.code, code);
        assert_int_equal(decision.verdict, code != 250   ? AUTHORIZE_DENIED
                                           : to_customer ? AUTHORIZE_RELAY
                                                         : AUTHORIZE_OUTSIDE);
        assert_ptr_equal(decision.grant, &grant);

        if (submission) {
            authorize_sender(arena, &client, &sender, &decision);
            assert_int_equal(decision.code, !sender_ok ? 550 : tls_required && !tls ? 530 : too_big ? 552 : 250);
        }
        sender.size = 10001; /* more than the server takes, from anybody */
        authorize_sender(arena, &client, &sender, &decision);
        assert_int_equal(decision.code, 552);
        assert_null(decision.grant);
    }
}

static void test_grants_in_order(void **state)
{
    struct directory_grant grants[] = {
        make_grant(DIRECTORY_SENDERS_DOMAINS, DIRECTORY_RECIPIENTS_DOMAINS),
        make_grant(DIRECTORY_SENDERS_ANY, DIRECTORY_RECIPIENTS_CUSTOMER),
        make_grant(DIRECTORY_SENDERS_ANY, DIRECTORY_RECIPIENTS_DOMAINS),
    };
    struct authorize_client client = make_client(AUTHORIZE_MX, false, true);
    struct authorize_sender sender = {SLICE("x@z.test"), false, 0, 0, 5};
    struct directory_recipient outside = {0};
    struct authorize_decision decision;
    char id[ID_TEXT_SIZE];

    (void)state;
    client.grants = (struct directory_grants){grants, 3};
    authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
    assert_int_equal(decision.verdict, AUTHORIZE_OUTSIDE);
    assert_ptr_equal(decision.grant, &grants[2]);
    assert_string_equal(decision.reason, "grant");

    /* The one that came nearest explains: the second, which permits the sender. */
    authorize_recipient(arena, &client, &sender, SLICE("a@else.test"), false, &outside, &decision);
    assert_ptr_equal(decision.grant, &grants[1]);
    id_print(grants[1].id, id);
    assert_string_equal(decision.text, arena_printf(arena,
                                                    "<a@else.test>: relaying denied: grant %s permits recipients in "
                                                    "its customer's domains only",
                                                    id));

    /* A limit is told with its grant; what happens there is the grant's choice. */
    grants[2].recipients_max = 5;
    authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
    assert_int_equal(decision.code, 452);
    assert_string_equal(decision.enhanced, "4.5.3");
    assert_string_equal(decision.limit, "recipients_max");
    grants[2].at_limit = DIRECTORY_LIMIT_REFUSE;
    authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
    assert_int_equal(decision.code, 550);
    assert_string_equal(decision.enhanced, "5.5.3");

    /* A literal stays refused, and a suspended customer's grants grant nothing. */
    grants[2].recipients_max = 0;
    grants[2].recipients = DIRECTORY_RECIPIENTS_ANY;
    authorize_recipient(arena, &client, &sender, SLICE("a@[192.0.2.1]"), true, &outside, &decision);
    assert_string_equal(decision.reason, "address-literal");
    for (unsigned i = 0; i < 3; i++)
        grants[i].customer_active = false;
    authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
    assert_int_equal(decision.code, 550);
    assert_string_equal(decision.reason, "customer-suspended");

    /* Our own recipients are for everybody. */
    struct directory_recipient ours = {.has_domain = true,
                                       .domain = {.kind = DIRECTORY_RELAY, .customer_active = true}};
    authorize_recipient(arena, &client, &sender, SLICE("a@relayed.test"), false, &ours, &decision);
    assert_int_equal(decision.verdict, AUTHORIZE_RELAY);
    assert_null(decision.grant);
}

/* Each window by itself: the last that fits is taken, the next is not, and the reply says which. */
static void test_windows(void **state)
{
    static const char *const limits[] = {"messages_per_minute",   "messages_per_hour",   "messages_per_day",
                                         "recipients_per_minute", "recipients_per_hour", "recipients_per_day",
                                         "bytes_per_day"};
    struct authorize_client client = make_client(AUTHORIZE_SUBMISSION, true, false);
    struct directory_recipient outside = {0};

    (void)state;
    account.state = DIRECTORY_ACTIVE;
    for (unsigned i = 0; i < 7; i++)
        for (unsigned at_limit = DIRECTORY_LIMIT_REFUSE; at_limit <= DIRECTORY_LIMIT_DEFER; at_limit++) {
            struct directory_grant grant = make_grant(DIRECTORY_SENDERS_ANY, DIRECTORY_RECIPIENTS_ANY);
            struct authorize_sender sender = {SLICE("x@z.test"), false, 0, 10, 2};
            struct authorize_decision decision;
            uint64_t *limit = i < 3   ? &grant.limits.messages[i]
                              : i < 6 ? &grant.limits.recipients[i - 3]
                                      : &grant.limits.bytes_day;
            uint64_t *used = i < 3   ? &grant.used.messages[i]
                             : i < 6 ? &grant.used.recipients[i - 3]
                                     : &grant.used.bytes_day;
            unsigned asked = i < 3 ? 1 : i < 6 ? 3 : 10; /* by this message, with the third recipient */

            client.grants = (struct directory_grants){&grant, 1};
            grant.counted = true;
            grant.at_limit = at_limit;
            *limit = 100;
            *used = 100 - asked;
            authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
            assert_int_equal(decision.verdict, AUTHORIZE_OUTSIDE);
            ++*used;
            authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
            assert_int_equal(decision.code, at_limit == DIRECTORY_LIMIT_REFUSE ? 550 : 451);
            assert_string_equal(decision.enhanced, at_limit == DIRECTORY_LIMIT_REFUSE ? "5.7.1" : "4.7.1");
            assert_string_equal(decision.limit, limits[i]);
            assert_ptr_equal(decision.grant, &grant);
            *used = 100; /* nothing is left: said at MAIL already */
            authorize_sender(arena, &client, &sender, &decision);
            assert_string_equal(decision.limit, limits[i]);
        }
}

/* What passes a window is taken, and held; other limits and other reasons are as with "defer". */
static void test_hold(void **state)
{
    struct authorize_client client = make_client(AUTHORIZE_SUBMISSION, true, false);
    struct authorize_sender sender = {SLICE("x@z.test"), false, 0, 10, 0};
    struct directory_recipient outside = {0};
    struct directory_grant grants[2] = {make_grant(DIRECTORY_SENDERS_ANY, DIRECTORY_RECIPIENTS_ANY),
                                        make_grant(DIRECTORY_SENDERS_ANY, DIRECTORY_RECIPIENTS_ANY)};
    struct authorize_decision decision;

    (void)state;
    account.state = DIRECTORY_ACTIVE;
    client.grants = (struct directory_grants){grants, 1};
    grants[0].counted = true;
    grants[0].at_limit = DIRECTORY_LIMIT_HOLD;
    grants[0].limits.messages[DIRECTORY_HOUR] = grants[0].used.messages[DIRECTORY_HOUR] = 5;
    authorize_sender(arena, &client, &sender, &decision);
    assert_int_equal(decision.verdict, AUTHORIZE_ALLOWED);
    assert_false(decision.held);
    authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
    assert_int_equal(decision.verdict, AUTHORIZE_OUTSIDE);
    assert_true(decision.held);
    assert_int_equal(decision.code, 250);
    assert_string_equal(decision.limit, "messages_per_hour");
    assert_ptr_equal(decision.grant, &grants[0]);
    assert_non_null(strstr(decision.text, "permits 5 messages in a hour"));

    grants[0].used.messages[DIRECTORY_HOUR] = 49;
    authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
    assert_true(decision.held);
    grants[0].used.messages[DIRECTORY_HOUR] = 50; /* ten times the limit: no more is held */
    authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
    assert_int_equal(decision.code, 451);
    assert_false(decision.held);
    grants[0].used.messages[DIRECTORY_HOUR] = 5;

    authorize_recipient(arena, &client, &sender, SLICE("a@[192.0.2.1]"), true, &outside, &decision);
    assert_int_equal(decision.code, 550);
    assert_false(decision.held);
    grants[0].recipients_max = 1;
    sender.recipients = 1;
    authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
    assert_int_equal(decision.code, 452);
    sender.recipients = 0;
    client.grants.count = 2; /* the other one permits it without */
    authorize_recipient(arena, &client, &sender, SLICE("a@outside.test"), false, &outside, &decision);
    assert_false(decision.held);
    assert_ptr_equal(decision.grant, &grants[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sender, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recipient_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recipient_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recipient_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recipient_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_grant, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grants_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_windows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
