/*
 * SMTP sessions: who may send what to whom, as one message or several, pipelined and one byte at a time; AUTH.  Those
 * that meet a database that is away, or whose client vanishes, are in test_protocols_smtp_faults.c.
 */
#include "relay/permit.h"
#include "tests/unit/smtp_harness.h"

static void test_local(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<joe@outside.test> BODY=8BITMIME", "250 2.1.0");
    assert_int_equal(world.lookups, 0);
    ask("RCPT TO:<alice@hosted.test>", "250 2.1.5");
    ask("DATA", "354 ");
    ask("Subject: x\r\n\r\n..dot\r\n.", "250 2.0.0 Ok: queued as ");
    assert_int_equal(copy_count, 1);
    assert_int_equal(copies[0].cell, 10);
    assert_int_equal(copies[0].customer_id, 1);
    assert_int_equal(copies[0].account_id, 0);
    assert_int_equal(copies[0].recipients[0].mailbox_id, 1000);
    assert_false(copies[0].recipients[0].queue);
    const char *content = copies[0].content;
    assert_ptr_equal(strstr(content, "Return-Path: <joe@outside.test>\r\nReceived: from client.test ([127.0.0.1])\r\n"
                                     "\tby mx.test with ESMTP\r\n\tid "),
                     content);
    assert_non_null(strstr(content, " for <alice@hosted.test>;\r\n\t"));
    assert_non_null(strstr(content, " +0000\r\nSubject: x\r\n\r\n.dot\r\n"));
    quit();
}

static void test_several_customers(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<>", "250");
    ask("RCPT TO:<alice@hosted.test>", "250");
    ask("RCPT TO:<bob@other.test>", "250");
    ask("RCPT TO:<Al@Hosted.Test>", "250"); /* alice again */
    ask("RCPT TO:<carol@relayed.test>", "250");
    ask("RCPT TO:<dave@relayed.test>", "250");
    ask("RCPT TO:<dave@relayed.test>", "250");
    ask("DATA", "354");
    ask(".", "250 2.0.0");
    assert_int_equal(world.commits, 1);
    assert_int_equal(copy_count, 3);
    assert_int_equal(copies[0].recipient_count, 1);
    assert_int_equal(copies[1].recipient_count, 1);
    assert_int_equal(copies[1].customer_id, 2);
    assert_int_equal(copies[2].recipient_count, 2);
    assert_string_equal(copies[2].addresses[1], "dave@relayed.test");
    assert_string_equal(copies[2].destinations[0], "domain:13");
    assert_int_equal(copies[2].recipients[0].account_id, 300);
    assert_int_equal(copies[2].recipients[0].mailbox_id, 0);
    assert_false(copies[2].recipients[0].waiting);
    assert_int_equal(copies[2].recipients[1].account_id, 0);
    assert_null(strstr(copies[0].content, " for <")); /* would tell one of the other */
    quit();
}

static unsigned questions;
static enum verify_told says;

static enum verify_told answer_question(int64_t domain_id, struct slice address, bool wait)
{
    (void)address;
    assert_int_equal(domain_id, 14);
    assert_true(wait);
    late();
    questions++;
    return says;
}

/*
 * A relay domain that learns its recipients: what is known counts, else its primary is asked, but never in an outage.
 */
static void test_learning(void **state)
{
    (void)state;
    permit_on_ask(answer_question);
    questions = 0;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<joe@outside.test>", "250");
    ask("RCPT TO:<fresh@learning.test>", "250");
    assert_int_equal(questions, 0);
    says = VERIFY_NOT_THERE;
    ask("RCPT TO:<known@learning.test>", "550 5.1.1");
    ask("RCPT TO:<new@learning.test>", "550 5.1.1");
    says = VERIFY_EXISTS;
    ask("RCPT TO:<gone@learning.test>", "250");
    assert_int_equal(questions, 3);
    says = VERIFY_UNTOLD;
    ask("RCPT TO:<known@learning.test>", "250");
    ask("RCPT TO:<gone@learning.test>", "550 5.1.1");
    ask("RCPT TO:<new@learning.test>", "451 4.4.1");
    quit();
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<joe@outside.test>", "250");
    world.outage = true;
    questions = 0;
    says = VERIFY_EXISTS;
    ask("RCPT TO:<known@learning.test>", "250");
    ask("RCPT TO:<gone@learning.test>", "550 5.1.1");
    ask("RCPT TO:<new@learning.test>", "451 4.4.1");
    assert_int_equal(questions, 0);
    quit();
    permit_on_ask(NULL);
}

/* NOTIFY=SUCCESS: the message and the notice are one transaction; what goes into the queue is told of later. */
static void test_notice(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<bob@other.test> RET=FULL ENVID=QQ1", "250");
    ask("RCPT TO:<al@hosted.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Al@hosted.test", "250");
    ask("RCPT TO:<carol@relayed.test> NOTIFY=SUCCESS", "250");
    ask("DATA", "354");
    ask("Subject: x\r\n\r\nbody\r\n.", "250 2.0.0");
    assert_int_equal(world.commits, 1);
    assert_int_equal(copy_count, 3);
    assert_int_equal(copies[2].customer_id, 2);
    assert_int_equal(copies[2].recipient_count, 1);
    assert_int_equal(copies[2].recipients[0].mailbox_id, 2000);
    assert_string_equal(copies[2].sender, "");
    assert_non_null(strstr(copies[2].content, "Return-Path: <>\r\n"));
    assert_non_null(strstr(copies[2].content, "\r\nOriginal-Envelope-Id: QQ1\r\n"));
    assert_non_null(strstr(copies[2].content, "\r\nOriginal-Recipient: rfc822; Al@hosted.test\r\n"
                                              "Final-Recipient: rfc822; al@hosted.test\r\nAction: delivered\r\n"));
    assert_null(strstr(copies[2].content, "carol"));
    assert_non_null(strstr(copies[2].content, "text/rfc822-headers\r\n\r\nReceived: "));

    /* None for what nobody asked, nor to nobody. */
    quit();
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<bob@other.test>", "250");
    ask("RCPT TO:<alice@hosted.test> NOTIFY=DELAY,FAILURE", "250");
    ask("DATA", "354");
    ask(".", "250 2.0.0");
    ask("MAIL FROM:<>", "250");
    ask("RCPT TO:<alice@hosted.test> NOTIFY=SUCCESS", "250");
    ask("DATA", "354");
    ask(".", "250 2.0.0");
    ask("MAIL FROM:<nobody@other.test>", "250");
    ask("RCPT TO:<alice@hosted.test> NOTIFY=SUCCESS", "250");
    ask("DATA", "354");
    ask(".", "250 2.0.0");
    assert_int_equal(copy_count, 3);
    quit();
}

/* An alias of several: it is told of, and its targets are asked for no more success (RFC 3461 5.2.7.3 (c)). */
static void test_notice_of_an_alias(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<bob@other.test>", "250");
    ask("RCPT TO:<team@hosted.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Team@hosted.test", "250");
    ask("DATA", "354");
    ask("Subject: x\r\n.", "250 2.0.0");
    assert_int_equal(world.commits, 1);
    assert_int_equal(copy_count, 3);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned j = 0; j < copies[i].recipient_count; j++)
            assert_string_equal(copies[i].parameters[j], "NOTIFY=DELAY ORCPT=rfc822;Team@hosted.test");
    assert_string_equal(copies[2].sender, "");
    assert_int_equal(copies[2].recipients[0].mailbox_id, 2000);
    assert_non_null(strstr(copies[2].content, "\r\nOriginal-Recipient: rfc822; Team@hosted.test\r\n"
                                              "Final-Recipient: rfc822; team@hosted.test\r\nAction: expanded\r\n"));
    assert_null(strstr(copies[2].content, "Action: delivered"));

    quit();
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<bob@other.test>", "250");
    ask("RCPT TO:<team@hosted.test> NOTIFY=SUCCESS", "250");
    ask("DATA", "354");
    ask(".", "250 2.0.0");
    assert_string_equal(copies[0].parameters[0], "NOTIFY=NEVER"); /* not absent: that is more */
    quit();
}

static void test_outage(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    world.outage = true;
    ask("MAIL FROM:<joe@outside.test>", "250");
    ask("RCPT TO:<carol@relayed.test>", "250");
    ask("RCPT TO:<dave@relayed.test>", "250");
    ask("DATA", "354");
    ask(".", "250");
    assert_true(copies[0].recipients[0].queue && copies[0].recipients[0].waiting);
    assert_int_equal(copies[0].recipients[0].mailbox_id, 3000);
    assert_true(copies[0].recipients[1].queue && copies[0].recipients[1].waiting);
    assert_int_equal(copies[0].recipients[1].mailbox_id, 0);
    quit();
}

/*
 * FUTURERELEASE: everybody has an entry that waits, outage or not, and nobody has it in his mailbox, or hears of it,
 * yet.
 */
static void test_future_release(void **state)
{
    (void)state;
    begin(SMTP_ROLE_SUBMISSION);
    world.outage = true;
    ask("AUTH PLAIN eWVz", "235 2.7.0");
    ask("MAIL FROM:<alice@hosted.test> HOLDFOR=101", "501 5.5.4");
    ask("MAIL FROM:<alice@hosted.test> HOLDFOR=50 BY=49;R", "501 5.5.4 BY is over");
    ask("MAIL FROM:<alice@hosted.test> HOLDFOR=50 BY=60;R", "250");
    ask("RCPT TO:<alice@hosted.test> NOTIFY=SUCCESS", "250");
    ask("RCPT TO:<carol@relayed.test>", "250");
    ask("RCPT TO:<joe@elsewhere.test>", "250");
    ask("DATA", "354");
    ask(".", "250 2.0.0 Ok: queued as ");
    assert_non_null(strstr(client.text, ", held until 20"));
    assert_int_equal(copy_count, 2);
    for (unsigned i = 0, n = 0; i < copy_count; i++)
        for (unsigned j = 0; j < copies[i].recipient_count; j++, n++) {
            const struct accept_recipient *r = &copies[i].recipients[j];

            assert_true(r->queue && r->waiting && !r->mailbox_id);
            assert_int_equal(r->hold.by, HOLD_BY_SENDER);
            assert_int_equal(r->hold.then, HOLD_THEN_RELEASE);
            assert_int_equal(r->deliver_by_ms - r->hold.until_ms, 10000);
            if (strcmp(copies[i].addresses[j], "alice@hosted.test") == 0) {
                assert_string_equal(copies[i].destinations[j], "mailbox");
                assert_int_equal(r->account_id, 100);
            }
        }
    quit();
}

static void test_refusals(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<joe@outside.test>", "250");
    ask("RCPT TO:<nobody@hosted.test>", "550 5.1.1 <nobody@hosted.test>: ");
    ask("RCPT TO:<gone@hosted.test>", "550 5.2.1");
    ask("RCPT TO:<joe@outside.test>", "550 5.7.1 <joe@outside.test>: relaying denied: 127.0.0.1 ");
    ask("RCPT TO:<Postmaster>", "550 5.1.1 <postmaster@mx.test>");
    ask("DATA", "554 5.5.1");
    quit();
}

/* What is noted is told by its id; what is not is refused all the same. */
static void test_refusals_are_noted(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    world.note_id = 1; /* thirteen letters, the last is 1 */
    ask("MAIL FROM:<joe@outside.test>", "250");
    ask("RCPT TO:<gone@hosted.test>",
        "550 5.2.1 <gone@hosted.test>: this mailbox is suspended and takes no mail (decision 0000000000001)");
    assert_string_equal(world.noted_reason, "RCPT recipient-suspended");
    world.note_id = 0;
    ask("RCPT TO:<gone@hosted.test>", "550 5.2.1 <gone@hosted.test>: this mailbox is suspended and takes no mail\r\n");
    assert_int_equal(world.noted, 2);
    ask("MAIL FROM:<again@outside.test>", "503"); /* no decision about anybody's permission */
    assert_int_equal(world.noted, 2);
    quit();
}

/* Two are here, by three names; one is gone, one is outside, where it is the alias's customer's mail. */
static void test_expansion(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<joe@outside.test>", "250");
    ask("RCPT TO:<Team@hosted.test>", "250 2.1.5");
    ask("RCPT TO:<alice@hosted.test>", "250 2.1.5"); /* has it already */
    ask("RCPT TO:<inner@hosted.test>", "550 5.7.2 <inner@hosted.test>: only its members may send to this group");
    ask("DATA", "354");
    ask(".", "250");
    assert_int_equal(copy_count, 2);
    assert_int_equal(copies[0].customer_id, 1);
    assert_int_equal(copies[0].recipient_count, 2);
    assert_int_equal(copies[0].recipients[0].mailbox_id, 1000);
    assert_string_equal(copies[0].destinations[1], "mx:elsewhere.test");
    assert_non_null(strstr(copies[0].content, "for <Team@hosted.test>"));
    assert_int_equal(copies[1].customer_id, 2);
    assert_int_equal(copies[1].recipients[0].mailbox_id, 2000);
    ask("MAIL FROM:<bob@other.test>", "250");
    ask("RCPT TO:<inner@hosted.test>", "250");
    quit();
}

static void test_network(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    world.network = true;
    ask("MAIL FROM:<anybody@hosted.test>", "250");
    ask("RCPT TO:<joe@outside.test>", "250 2.1.5");
    ask("RCPT TO:<Postmaster>", "550 5.1.1"); /* never relayed: it would come back to us */
    ask("DATA", "354");
    ask(".", "250");
    assert_int_equal(copies[0].customer_id, 1);
    assert_int_equal(copies[0].cell, 10);
    assert_string_equal(copies[0].destinations[0], "mx:outside.test");
    ask("MAIL FROM:<bob@other.test>", "250");
    ask("RCPT TO:<joe@outside.test>", "550 5.7.1");
    ask("RSET", "250");
    ask("MAIL FROM:<>", "250");
    ask("RCPT TO:<joe@outside.test>", "250");
    quit();
}

/* A pipelined group, with answers that come late: replies in order, and the same as one by one. */
static void test_pipelined(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    world.wait_ms = 2;
    say("MAIL FROM:<joe@outside.test>\r\nRCPT TO:<alice@hosted.test>\r\nRCPT TO:<nobody@hosted.test>\r\n"
        "RCPT TO:<bob@other.test>\r\nDATA\r\n");
    expect("250 2.1.0");
    expect("250 2.1.5");
    expect("550 5.1.1");
    expect("250 2.1.5");
    expect("354");
    say("x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<alice@hosted.test>\r\nRSET\r\nNOOP\r\nQUIT\r\n");
    expect("250 2.0.0 Ok: queued");
    expect("250 2.1.0");
    expect("250 2.1.5");
    expect("250 2.0.0");
    expect("250 2.0.0");
    expect("221");
    assert_int_equal(copy_count, 2);
    finish();
}

static void test_recipients_max(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<joe@outside.test>", "250");
    for (unsigned i = 0; i < 5; i++) {
        char command[100];
        snprintf(command, sizeof(command), "RCPT TO:<user%u@relayed.test>", i);
        ask(command, "250");
    }
    ask("RCPT TO:<alice@hosted.test>", "452 4.5.3");
    ask("DATA", "354");
    ask(".", "250");
    ask("MAIL FROM:<joe@outside.test>", "250");
    for (unsigned i = 0; i < 5; i++)
        ask("RCPT TO:<nobody@hosted.test>", "550 5.1.1");
    ask("RCPT TO:<nobody@hosted.test>", "421 4.7.0"); /* guessing */
    finish();
}

static void test_auth(void **state)
{
    (void)state;
    begin(SMTP_ROLE_SUBMISSION);
    ask("MAIL FROM:<alice@hosted.test>", "530 5.7.0");
    ask("AUTH PLAIN YXdheQ==", "454 4.7.0"); /* away */
    ask("AUTH PLAIN bm8=", "535 5.7.8");
    ask("AUTH SCRAM-SHA-256", "334 d2hvPw==");
    ask("ZGF0YQ==", "334 dj1wcm9vZg=="); /* success with data */
    ask("", "235 2.7.0");
    ask("AUTH PLAIN =", "503");
    ask("MAIL FROM:<bob@other.test>", "550 5.7.1 alice@hosted.test may not send as <bob@other.test>");
    ask("MAIL FROM:<al@hosted.test>", "250");
    ask("RCPT TO:<joe@outside.test>", "250");
    ask("DATA", "354");
    ask(".", "250");
    assert_int_equal(copies[0].account_id, 100);
    assert_int_equal(copies[0].customer_id, 1);
    assert_non_null(strstr(copies[0].content, "with ESMTPA\r\n"));
    quit();
}

static void test_auth_data_refused(void **state)
{
    (void)state;
    begin(SMTP_ROLE_SUBMISSION);
    ask("AUTH SCRAM-SHA-256 ZGF0YQ==", "334 ");
    ask("*", "501");
    ask("MAIL FROM:<alice@hosted.test>", "530");
    ask("AUTH SCRAM-SHA-256 ZGF0YQ==", "334 ");
    ask("ZGF0YQ==", "501");
    ask("MAIL FROM:<alice@hosted.test>", "530");
    quit();
}

static void test_bytewise(void **state)
{
    static const char dialogue[] = "MAIL FROM:<joe@outside.test>\r\nRCPT TO:<alice@hosted.test>\r\nDATA\r\n"
                                   "Subject: x\r\n\r\nline\r\n..\r\n.\r\nQUIT\r\n";
    (void)state;
    begin(SMTP_ROLE_MX);
    for (size_t i = 0; i + 1 < sizeof(dialogue); i++) {
        char byte[2] = {dialogue[i], '\0'};
        say(byte);
        turns(1);
    }
    expect("250 2.1.0");
    expect("250 2.1.5");
    expect("354");
    expect("250 2.0.0");
    expect("221");
    assert_non_null(strstr(copies[0].content, "\r\nSubject: x\r\n\r\nline\r\n.\r\n"));
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local),
        cmocka_unit_test(test_several_customers),
        cmocka_unit_test(test_learning),
        cmocka_unit_test(test_notice),
        cmocka_unit_test(test_notice_of_an_alias),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_future_release),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refusals_are_noted),
        cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_recipients_max),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_auth_data_refused),
        cmocka_unit_test(test_bytewise),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
