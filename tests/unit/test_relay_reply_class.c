/*
 * reply_class: replies as servers of all makes give them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/reply_class.h"

static const struct {
    const char *reply, *class;
} replies[] = {
    {"250 2.0.0 Ok: queued as 4711", NULL},
    {"354 go ahead", NULL},
    {"", NULL},
    /* Postfix, Exim, qmail, Exchange, Gmail, Yahoo, Domino, Cisco */
    {"550 5.1.1 <x@y.test>: Recipient address rejected: User unknown in local recipient table", "unknown-user"},
    {"550 No such user here", "unknown-user"},
    {"550 Unrouteable address", "unknown-user"},
    {"551 sorry, no mailbox here by that name (#5.1.1)", "unknown-user"},
    {"550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", "unknown-user"},
    {"550 #5.1.0 Address rejected.", "unknown-user"},
    {"550 x@y.test... No such user; not listed in public Name & Address Book", "unknown-user"},
    {"554 delivery error: dd This user doesn't have a yahoo.com account", "refused"},
    {"550-5.2.1 The email account that you tried to reach is inactive.", "unknown-user"},
    {"450 4.1.1 <x@y.test>: Recipient address rejected: unverified address", "unknown-user"},
    {"452-4.2.2 The email account that you tried to reach is over quota.", "full"},
    {"552 5.2.2 mailbox full", "full"},
    {"552 Requested mail action aborted: exceeded storage allocation", "full"},
    {"422 the recipient's inbox is full", "full"},
    {"552 5.3.4 Message size exceeds fixed limit", "too-large"},
    {"523 the message is too big", "too-large"},
    {"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "block-list"},
    {"550 5.7.606 Access denied, banned sending IP [192.0.2.1]", "block-list"},
    {"421 4.7.0 your IP is on our block list (S3150)", "block-list"},
    {"550 rejected because 192.0.2.1 is in a black list at dnsbl.sorbs.net", "block-list"},
    {"450 4.2.0 <x@y.test>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/y.test.html",
     "greylist"},
    {"451 4.7.1 Greylisting in action, please come back in 00:05:00", "greylist"},
    {"451 greylisted, try again in 300 seconds", "greylist"},
    {"550 5.7.1 we do greylisting, but you are simply refused", "policy"},
    {"550 5.7.26 This mail has been blocked because the sender is unauthenticated", "policy"},
    {"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume", "policy"},
    {"554 5.7.1 <x@y.test>: Relay access denied", "policy"},
    {"550 relay not permitted", "policy"},
    {"550 5.1.8 sender's domain does not exist", "policy"},
    {"554 rejected due to spam content", "policy"},
    {"500 what?", "protocol"},
    {"501 5.5.4 Syntax error in parameters", "protocol"},
    {"554 5.6.1 conversion required", "protocol"},
    {"555 parameters not recognized", "protocol"},
    {"451 4.3.0 local error in processing", "temporary"},
    {"421 shutting down", "temporary"},
    {"450 4.3.2 Service currently unavailable", "temporary"},
    {"554 5.0.0 transaction failed", "refused"},
    {"554", "refused"},
    {"connection refused while connecting", "connection"},
    {"timed out while waiting for the reply to the final dot", "connection"},
    {"connection broken after MAIL", "connection"},
    /* Ours, and what a host says at its greeting, or to STARTTLS. */
    {"192.0.2.1:25: connection refused while connecting", "connection"},
    {"its destination is away", "connection"},
    {"mx.y.test:25: 554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org", "block-list"},
    {"mx.y.test:25: 421 4.7.0 too many connections", "policy"},
    {"mx.y.test:25: 554 no", "refused"},
    {"2001:db8::1:25: 450 come back", "temporary"},
    {"451.y.test:25: timed out while connecting", "connection"},
    {"credential.y.test:25: timed out while connecting", "connection"},
    {"mx.y.test:25: 250 5.1.1 no such user", "local"}, /* nobody says that */
    {"mx.y.test:25: not an SMTP reply while waiting for the greeting", "protocol"},
    {"mx.y.test:25: TLS is required, and the server does not offer it", "tls"},
    {"mx.y.test:25: TLS handshake failed: connection broken", "tls"},
    {"the policy for the domain requires TLS, and its collector uses none", "tls"},
    {"mx.y.test:25: signing in: 535 5.7.8 no", "credential"},
    {"mx.y.test:25: it has refused credential smart, which is not tried again for 30 s", "credential"},
    {"mx.y.test:25: no token for credential smart: the token server cannot be asked", "credential"},
    {"the domain's MX could not be looked up", "routing"},
    {"mx.y.test: its address could not be looked up", "routing"},
    {"mx.y.test: no such host", "routing"},
    {"y.test: no such domain", "routing"},
    {"there is no route smart, which is the default", "routing"},
    {"the domain has no next hop", "routing"},
    {"the domain does not accept mail (null MX)", "routing"},
    {"the domain's MX points back to this server", "routing"},
    {"delivery time expired", "expired"},
    {"the time that its sender gave for delivery is over", "expired"},
    {"mx.y.test does not offer SMTPUTF8, which this message needs", "protocol"},
    {"mx.y.test takes messages up to 10 bytes; this one has 11", "too-large"},
    {"the message could not be loaded", "local"},
    {"the customer's source addresses could not be looked up", "local"},
    {"192.0.2.1:25: none of the source addresses is this machine's (192.0.2.9)", "local"},
    {"5505.1.1 no such user", "local"}, /* no code */
    {"999 5.1.1 no such user", "local"},
    {": 550 5.1.1 no such user", "local"},
};

static const char *class_of(const char *text, size_t n)
{
    return reply_class_word(reply_class_of((struct slice){text, n}));
}

static void test_replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        const char *class = class_of(replies[i].reply, strlen(replies[i].reply));

        if ((class == NULL) != (replies[i].class == NULL) || (class && strcmp(class, replies[i].class) != 0))
            fail_msg("%s: %s, not %s", replies[i].reply, class ? class : "none",
                     replies[i].class ? replies[i].class : "none");
    }
}

/* What follows NUL or stands far behind is text, too, and no reason to read further than there is. */
static void test_odd_texts(void **state)
{
    static char text[5000];

    (void)state;
    assert_string_equal(class_of("550 a\0user unknown", 18), "unknown-user");
    assert_string_equal(class_of("550 a\0user unknown", 15), "refused");
    memset(text, 'x', sizeof text);
    memcpy(text, "451 ", 4);
    memcpy(text + 1000, " Greylisted", 11);
    assert_string_equal(class_of(text, sizeof text), "greylist");
    memset(text + 1000, 'x', 11);
    memcpy(text + 4000, " Greylisted", 11);
    assert_string_equal(class_of(text, sizeof text), "temporary");
}

static void test_words(void **state)
{
    (void)state;
    assert_null(reply_class_word(REPLY_CLASS_NONE));
    for (unsigned i = REPLY_CLASS_NONE + 1; i < REPLY_CLASSES; i++)
        for (unsigned j = i + 1; j < REPLY_CLASSES; j++)
            assert_string_not_equal(reply_class_word((enum reply_class)i), reply_class_word((enum reply_class)j));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_odd_texts),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
