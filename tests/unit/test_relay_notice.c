/*
 * notice: the table of RFC 3461 5.2, row by row; then the report as a message: where it goes, and what of the message
 * comes back.  The directory is that of smtp_world.h.
 */
#include "tests/unit/smtp_world.h"

#include "core/id.h"
#include "relay/notice.h"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(1 << 22);
    id_set_worker(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void test_wanted(void **state)
{
    enum {
        N = ENVELOPE_NOTIFY_NEVER,
        S = ENVELOPE_NOTIFY_SUCCESS,
        F = ENVELOPE_NOTIFY_FAILURE,
        D = ENVELOPE_NOTIFY_DELAY
    };
    static const struct {
        unsigned notify;
        bool failed, delayed, success;
    } cases[] = {
        {0, true, true, false},  {N, false, false, false},   {S, false, false, true},       {F, true, false, false},
        {D, false, true, false}, {S | F, true, false, true}, {S | F | D, true, true, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct envelope_rcpt envelope = {.notify = cases[i].notify};
        struct slice ann = SLICE("ann@a.test"), nobody = SLICE("");

        assert_int_equal(notice_wanted(ann, &envelope, DSN_FAILED), cases[i].failed);
        assert_int_equal(notice_wanted(ann, &envelope, DSN_DELAYED), cases[i].delayed);
        assert_int_equal(notice_wanted(ann, &envelope, DSN_DELIVERED), cases[i].success);
        assert_int_equal(notice_wanted(ann, &envelope, DSN_RELAYED), cases[i].success);
        assert_int_equal(notice_wanted(ann, &envelope, DSN_LATE), cases[i].notify != N);
        assert_int_equal(notice_wanted(ann, &envelope, DSN_TRACED), cases[i].notify != N);
        for (enum dsn_action action = DSN_FAILED; action <= DSN_TRACED; action++)
            assert_false(notice_wanted(nobody, &envelope, action));
        assert_int_equal(notice_delay_at(ann, &envelope, false, 1000, 50), cases[i].delayed ? 1050 : 0);
        assert_int_equal(notice_delay_at(ann, &envelope, true, 1000, 50),
                         cases[i].delayed && cases[i].notify ? 1050 : 0);
        assert_int_equal(notice_delay_at(ann, &envelope, false, 1000, 0), 0);
        assert_int_equal(notice_delay_at(nobody, &envelope, false, 1000, 50), 0);
    }
}

/* Content of the notice about this message; NULL: none is returned. */
static const char *made(enum notice_made expected, struct slice sender, enum dsn_action action,
                        enum envelope_return ret, struct slice content, struct accept_message *out)
{
    struct accept_message *messages;
    unsigned count;
    static const struct notice_settings settings = {"mail.test", false, 1000};
    static const struct dsn_recipient recipient = {
        .address = {"bob@b.test", 10}, .original = {"rfc822;b+2Bob@b.test", 20}, .status = {"5.1.1", 5}};
    struct notice notice = {
        .message_id = id_make(7),
        .customer_id = 70,
        .received_ms = 1000,
        .sender = sender,
        .envelope = {.ret = ret, .envid = {"QQ+2B1", 6}},
        .action = action,
        .recipients = &recipient,
        .count = 1,
        .prefix = SLICE("Received: here\r\n"),
        .spool = spool_new(),
    };
    struct slice all;
    const char *text = NULL;

    assert_true(spool_append(notice.spool, content));
    assert_int_equal(notice_make(arena, &settings, &notice, &messages, &count), expected);
    if (expected == NOTICE_MADE) {
        assert_int_equal(count, 1);
        *out = messages[0];
        char *buffer = arena_alloc(arena, spool_size(out->spool) + 1);

        for (size_t at = 0; at < spool_size(out->spool); at += all.n) {
            assert_true(spool_read(out->spool, at, 4096, buffer + at, &all) && all.n);
            memmove(buffer + at, all.p, all.n);
        }
        text = buffer;
        notice_done(messages, count);
    }
    spool_unref(&notice.spool);
    return text;
}

#define BODY "Subject: hi\r\n\r\nThe body.\r\n"

static void test_where_to(void **state)
{
    struct accept_message out;
    const struct accept_recipient *to;

    (void)state;
    made(NOTICE_MADE, SLICE("alice@hosted.test"), DSN_FAILED, ENVELOPE_RETURN_UNSAID, SLICE(BODY), &out);
    to = out.recipients;
    assert_true(out.cell == 10 && out.customer_id == 1 && to->mailbox_id == 1000 && !to->queue && !out.sender.n);
    made(NOTICE_MADE, SLICE("carol@relayed.test"), DSN_FAILED, ENVELOPE_RETURN_UNSAID, SLICE(BODY), &out);
    to = out.recipients;
    assert_true(out.cell == 30 && to->queue && slice_equal(to->destination, SLICE("domain:13")) && !to->mailbox_id);
    made(NOTICE_MADE, SLICE("ann@outside.test"), DSN_FAILED, ENVELOPE_RETURN_UNSAID, SLICE(BODY), &out);
    to = out.recipients;
    assert_true(out.cell == 7 && out.customer_id == 70 && slice_equal(to->destination, SLICE("mx:outside.test")));
    made(NOTICE_NOBODY, SLICE("eve@hosted.test"), DSN_FAILED, ENVELOPE_RETURN_UNSAID, SLICE(BODY), &out);
    world.directory_away = true;
    made(NOTICE_LATER, SLICE("alice@hosted.test"), DSN_FAILED, ENVELOPE_RETURN_UNSAID, SLICE(BODY), &out);
    world.directory_away = false;
}

static void test_what_comes_back(void **state)
{
    static const char whole[] = "Content-Type: message/rfc822\r\n\r\nReceived: here\r\n" BODY "\r\n--=_";
    struct slice ann = SLICE("alice@hosted.test");
    struct accept_message out;
    const char *text;

    (void)state;
    text = made(NOTICE_MADE, ann, DSN_FAILED, ENVELOPE_RETURN_FULL, SLICE(BODY), &out);
    assert_non_null(strstr(text, whole));
    assert_non_null(strstr(text, "\r\nOriginal-Envelope-Id: QQ+1\r\nReporting-MTA: "));
    assert_non_null(
        strstr(text, "\r\nOriginal-Recipient: rfc822; b+ob@b.test\r\nFinal-Recipient: rfc822; bob@b.test\r\n"));
    assert_non_null(strstr(text, "\r\nAction: failed\r\n"));

    for (enum envelope_return ret = ENVELOPE_RETURN_UNSAID; ret <= ENVELOPE_RETURN_FULL; ret++)
        for (enum dsn_action action = DSN_FAILED; action <= DSN_RELAYED; action++) {
            text = made(NOTICE_MADE, ann, action, ret, SLICE(BODY), &out);
            if (ret == ENVELOPE_RETURN_FULL && action == DSN_FAILED)
                continue;
            assert_non_null(
                strstr(text, "Content-Type: text/rfc822-headers\r\n\r\nReceived: here\r\nSubject: hi\r\n\r\n--=_"));
            assert_null(strstr(text, "The body."));
        }

    text = made(NOTICE_MADE, ann, DSN_FAILED, ENVELOPE_RETURN_FULL, SLICE("Subject: hi\r\n\r\ngr\xc3\xbc\xc3\x9f\r\n"),
                &out);
    assert_non_null(strstr(text, "\r\nContent-Transfer-Encoding: 8bit\r\nContent-Type: multipart/report;"));
    assert_non_null(strstr(text, "message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
    assert_non_null(strstr(text, "\r\n\r\ngr\xc3\xbc\xc3\x9f\r\n\r\n--=_"));

    text = made(NOTICE_MADE, ann, DSN_FAILED, ENVELOPE_RETURN_FULL, SLICE("Subject: hi\r\n\r\n\0\r\n"), &out);
    assert_non_null(strstr(text, "text/rfc822-headers"));
    char *large = arena_alloc(arena, 1 << 20);
    memset(large, 'x', 1 << 20);
    memcpy(large, BODY, sizeof BODY - 1);
    text = made(NOTICE_MADE, ann, DSN_FAILED, ENVELOPE_RETURN_FULL, slice_of(large, 1 << 20), &out);
    assert_non_null(strstr(text, "text/rfc822-headers"));
}

/* Who does not exist as far as anybody knows is told nothing; who cannot be asked for is told later. */
static void test_learned_senders(void **state)
{
    const struct notice_settings settings = {"mx.test", false, 1000};
    static const struct {
        struct slice sender;
        bool away;
        enum notice_made made;
    } cases[] = {
        {SLICE("known@learning.test"), false, NOTICE_MADE},
        {SLICE("new@learning.test"), false, NOTICE_MADE},
        {SLICE("gone@learning.test"), false, NOTICE_NOBODY},
        {SLICE("known@learning.test"), true, NOTICE_LATER},
    };
    const struct dsn_recipient recipient = {.address = SLICE("x@y.test"), .status = SLICE("5.1.1")};
    (void)state;
    world.outage = true; /* what was learned long ago counts */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct notice notice = {.sender = cases[i].sender, .action = DSN_FAILED, .recipients = &recipient, .count = 1};
        struct accept_message *messages = NULL;
        unsigned count = 0;

        world.learned_away = cases[i].away;
        assert_int_equal(notice_make(arena, &settings, &notice, &messages, &count), cases[i].made);
        notice_done(messages, count);
    }
    world.outage = world.learned_away = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wanted),
        cmocka_unit_test(test_where_to),
        cmocka_unit_test(test_what_comes_back),
        cmocka_unit_test(test_learned_senders),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
