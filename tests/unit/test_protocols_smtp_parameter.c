/*
 * smtp_parameter: what each parameter may be, and what of it is stored and passed on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "protocols/smtp_parameter.h"

#define X100 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

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

static void check(const struct smtp_fault *fault, unsigned code, struct slice printed, const char *expected,
                  const char *given)
{
    if ((fault ? fault->code : 0) != code)
        fail_msg("%s: %u, not %u", given, fault ? fault->code : 0, code);
    if (!fault && !slice_equal(printed, slice_str(expected)))
        fail_msg("%s: passed on as %.*s", given, SLICE_ARG(printed));
}

static void test_mail(void **state)
{
    static const struct {
        const char *text;
        unsigned where;
        unsigned code;
        const char *passed_on; /* NULL: nothing */
    } cases[] = {
        {"", 0, 0, NULL},
        {" SIZE=5 BODY=8BITMIME", 0, 0, NULL},
        {" AUTH=<>", SMTP_PARAMETER_SUBMISSION, 0, NULL},
        {" AUTH=<>", 0, 555, NULL},
        {" RET=full", 0, 0, "RET=FULL"},
        {" ret=HDRS\tENVID=QQ314159", 0, 0, "RET=HDRS ENVID=QQ314159"},
        {" ENVID=a+2Bb+20c RET=FULL", 0, 0, "RET=FULL ENVID=a+2Bb+20c"},
        {" ENVID=" X100, 0, 0, "ENVID=" X100},
        {" ENVID=" X100 "x", 0, 501, NULL},
        {" ENVID", 0, 501, NULL},
        {" ENVID=", 0, 501, NULL},
        {" ENVID=a+2", 0, 501, NULL},
        {" ENVID=a+zz", 0, 501, NULL},
        {" ENVID=a+0D+0A", 0, 501, NULL}, /* it would break a field of the report */
        {" ENVID=+FC", 0, 501, NULL},
        {" ENVID=a ENVID=b", 0, 501, NULL},
        {" RET", 0, 501, NULL},
        {" RET=NONE", 0, 501, NULL},
        {" RET=FULL RET=FULL", 0, 501, NULL},
        {" NOTIFY=NEVER", 0, 555, NULL},
        {"RET=FULL", 0, 501, NULL},
        {" SMTPUTF8", 0, 0, "SMTPUTF8"},
        {" SMTPUTF8=1", 0, 501, NULL},
        {" SMTPUTF8 SMTPUTF8", 0, 501, NULL},
        {" ENVID=\xc3\xbc", 0, 501, NULL},
        {" REQUIRETLS", SMTP_PARAMETER_TLS, 0, "REQUIRETLS"},
        {" requiretls RET=FULL", ~0u, 0, "RET=FULL REQUIRETLS"},
        {" REQUIRETLS", SMTP_PARAMETER_SUBMISSION, 555, NULL},
        {" REQUIRETLS=", SMTP_PARAMETER_TLS, 501, NULL},
        {" REQUIRETLS=YES", SMTP_PARAMETER_TLS, 501, NULL},
        {" REQUIRETLS REQUIRETLS", SMTP_PARAMETER_TLS, 501, NULL},
        {" TLS-REQUIRED=NO", SMTP_PARAMETER_SUBMISSION | SMTP_PARAMETER_TLS, 555, NULL}, /* a note of ours */
        {" TLS-REQUIRED=NO", SMTP_PARAMETER_STORED, 0, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_mail mail = {0};
        const struct smtp_fault *fault = smtp_parameter_mail(arena, slice_str(cases[i].text), cases[i].where, &mail);

        check(fault, cases[i].code, smtp_parameter_print_mail(arena, &mail.envelope, ~(unsigned)ENVELOPE_OURS),
              cases[i].passed_on, cases[i].text);
        assert_null(smtp_parameter_print_mail(arena, &mail.envelope, 0).p);
    }
}

static void test_rcpt(void **state)
{
    static const struct {
        const char *text;
        unsigned code;
        const char *passed_on;
    } cases[] = {
        {"", 0, NULL},
        {" NOTIFY=NEVER", 0, "NOTIFY=NEVER"},
        {" notify=delay,Success", 0, "NOTIFY=SUCCESS,DELAY"},
        {" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;Bob@b.test", 0,
         "NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;Bob@b.test"},
        {" NOTIFY=SUCCESS,SUCCESS", 0, "NOTIFY=SUCCESS"},
        {" ORCPT=x400;/g+3Da+2Bb/", 0, "ORCPT=x400;/g+3Da+2Bb/"},
        {" ORCPT=X-some_type!;a", 0, "ORCPT=X-some_type!;a"},
        {" NOTIFY", 501, NULL},
        {" NOTIFY=", 501, NULL},
        {" NOTIFY=NEVER,SUCCESS", 501, NULL},
        {" NOTIFY=SUCCESS,NEVER", 501, NULL},
        {" NOTIFY=SUCCESS,", 501, NULL},
        {" NOTIFY=,SUCCESS", 501, NULL},
        {" NOTIFY=ALWAYS", 501, NULL},
        {" NOTIFY=NEVER NOTIFY=NEVER", 501, NULL},
        {" ORCPT=rfc822", 501, NULL},
        {" ORCPT=rfc822;", 501, NULL},
        {" ORCPT=;a", 501, NULL},
        {" ORCPT=rfc;822;a", 0, "ORCPT=rfc;822;a"}, /* xtext may hold ";" */
        {" ORCPT=rfc(822);a", 501, NULL},
        {" ORCPT=rfc822;a+0Ab", 501, NULL},
        {" ORCPT=rfc822;" X100 X100 X100 X100
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
         501, NULL},
        {" ORCPT=utf-8;j\xc3\xbc@b\xc3\xbc.test", 0, "ORCPT=utf-8;j\\x{FC}@b\\x{FC}.test"}, /* RFC 6533 section 3 */
        {" ORCPT=UTF-8;\\x{3B4}\\x{2B}x@b", 0, "ORCPT=UTF-8;\\x{3B4}\\x{2B}x@b"},
        {" ORCPT=utf-8;a+2Bb@c", 0, "ORCPT=utf-8;a+2Bb@c"}, /* not by RFC 6533: as it came */
        {" ORCPT=utf-8;a\\x{D800}b", 0, "ORCPT=utf-8;a\\x{D800}b"},
        {" ORCPT=utf-8;\xc3\xbc+2B", 501, NULL},
        {" ORCPT=utf-8;\xfc", 501, NULL},
        {" ORCPT=utf-8;", 501, NULL},
        {" ORCPT=rfc822;\xc3\xbc@b", 501, NULL},
        {" RET=FULL", 555, NULL},
        {" SIZE=1", 555, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct envelope_rcpt envelope = {0}, again;
        const struct smtp_fault *fault = smtp_parameter_rcpt(arena, slice_str(cases[i].text), &envelope);
        struct slice printed = smtp_parameter_print_rcpt(arena, &envelope, ENVELOPE_DSN);

        check(fault, cases[i].code, printed, cases[i].passed_on, cases[i].text);
        assert_null(smtp_parameter_print_rcpt(arena, &envelope, 0).p);
        if (fault)
            continue;
        smtp_parameter_read_rcpt(arena, printed, &again);
        assert_int_equal(again.notify, envelope.notify);
        assert_true(slice_equal(again.orcpt, envelope.orcpt));
    }
}

static void test_future_release(void **state)
{
    static const struct {
        const char *text;
        unsigned code;
        int64_t release; /* of what was received at 1,000,000 */
    } cases[] = {
        {" HOLDFOR=1", 0, 1001000},
        {" holdfor=999999999", 0, 1000000 + INT64_C(999999999000)},
        {" HOLDUNTIL=1970-01-01T00:20:00Z", 0, 1200000},
        {" HOLDUNTIL=1970-01-01t01:20:00.5+01:00", 0, 1200500},
        {" HOLDUNTIL=1970-01-01T00:16:40Z", 0, 0}, /* now */
        {" HOLDUNTIL=1970-01-01T00:00:00Z", 0, 0}, /* past */
        {" HOLDFOR", 501, 0},
        {" HOLDFOR=0", 501, 0},
        {" HOLDFOR=01", 501, 0},
        {" HOLDFOR=+1", 501, 0},
        {" HOLDFOR=1000000000", 501, 0},
        {" HOLDFOR=1s", 501, 0},
        {" HOLDUNTIL=", 501, 0},
        {" HOLDUNTIL=2026-12-24", 501, 0},
        {" HOLDUNTIL=2026-12-24T08:00:00", 501, 0},
        {" HOLDFOR=1 HOLDUNTIL=2026-12-24T08:00:00Z", 501, 0},
        {" HOLDUNTIL=2026-12-24T08:00:00Z HOLDFOR=1", 501, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_mail mail = {0}, stranger = {0};
        struct envelope_mail again;
        const struct smtp_fault *fault = smtp_parameter_mail(arena, slice_str(cases[i].text), true, &mail);

        check(fault, cases[i].code, smtp_parameter_print_mail(arena, &mail.envelope, ENVELOPE_DSN), NULL,
              cases[i].text);
        if (fault)
            continue;
        assert_int_equal(smtp_parameter_mail(arena, slice_str(cases[i].text), false, &stranger)->code, 555);
        assert_int_equal(envelope_release(&mail.envelope, 1000000), cases[i].release);
        smtp_parameter_read_mail(arena, smtp_parameter_print_mail(arena, &mail.envelope, ENVELOPE_ALL), &again);
        assert_int_equal(envelope_release(&again, 1000000), cases[i].release);
    }
}

static void test_deliver_by(void **state)
{
    static const struct {
        const char *text;
        unsigned code;
        const char *stored, *later; /* later: passed on 2.1 seconds afterwards */
        int64_t deadline;           /* of what was received at 1,000,000 */
    } cases[] = {
        {" BY=120;R", 0, "BY=120;R", "BY=117;R", 1120000},
        {" by=+120;rt", 0, "BY=120;RT", "BY=117;RT", 1120000},
        {" BY=1;R", 0, "BY=1;R", "BY=1;R", 1001000},
        {" BY=999999999;N", 0, "BY=999999999;N", "BY=999999996;N", 1000000 + INT64_C(999999999000)},
        {" BY=1;NT", 0, "BY=1;NT", "BY=-2;NT", 1001000},
        {" BY=0;N", 0, "BY=0;N", "BY=-3;N", 0},
        {" BY=-999999999;N", 0, "BY=-999999999;N", "BY=-1000000002;N", 0},
        {" BY", 501, NULL, NULL, 0},
        {" BY=", 501, NULL, NULL, 0},
        {" BY=120", 501, NULL, NULL, 0},
        {" BY=120;", 501, NULL, NULL, 0},
        {" BY=;R", 501, NULL, NULL, 0},
        {" BY=+;R", 501, NULL, NULL, 0},
        {" BY=+-1;N", 501, NULL, NULL, 0},
        {" BY=120;X", 501, NULL, NULL, 0},
        {" BY=120;T", 501, NULL, NULL, 0},
        {" BY=120;RN", 501, NULL, NULL, 0},
        {" BY=120;RTT", 501, NULL, NULL, 0},
        {" BY=0;R", 501, NULL, NULL, 0},
        {" BY=-1;R", 501, NULL, NULL, 0},
        {" BY=1234567890;N", 501, NULL, NULL, 0},
        {" BY=1;R BY=1;R", 501, NULL, NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_mail mail = {0};
        const struct smtp_fault *fault = smtp_parameter_mail(arena, slice_str(cases[i].text), false, &mail);
        struct slice stored = smtp_parameter_print_mail(arena, &mail.envelope, ENVELOPE_ALL);
        struct envelope_mail again, later;

        check(fault, cases[i].code, stored, cases[i].stored, cases[i].text);
        assert_null(smtp_parameter_print_mail(arena, &mail.envelope, ENVELOPE_DSN).p);
        if (fault)
            continue;
        smtp_parameter_read_mail(arena, stored, &again);
        assert_int_equal(envelope_deadline(&again, 1000000), cases[i].deadline);
        later = envelope_passed_on(&again, 1000000, 1002100);
        check(NULL, 0, smtp_parameter_print_mail(arena, &later, ENVELOPE_DELIVERBY), cases[i].later, cases[i].text);
        assert_int_equal(envelope_expired(&again, 1000000, 1120000), again.by == ENVELOPE_BY_RETURN);
        assert_false(envelope_expired(&again, 1000000, 1000999));
    }
}

static void test_priority(void **state)
{
    static const struct {
        const char *text;
        unsigned code;
        const char *printed;
    } cases[] = {
        {"", 0, NULL},
        {" MT-PRIORITY=0", 0, "MT-PRIORITY=0"},
        {" mt-priority=9", 0, "MT-PRIORITY=9"},
        {" MT-PRIORITY=-9", 0, "MT-PRIORITY=-9"},
        {" MT-PRIORITY=-0", 501, NULL},
        {" MT-PRIORITY=+1", 501, NULL},
        {" MT-PRIORITY=10", 501, NULL},
        {" MT-PRIORITY=-10", 501, NULL},
        {" MT-PRIORITY=00", 501, NULL},
        {" MT-PRIORITY=-", 501, NULL},
        {" MT-PRIORITY=a", 501, NULL},
        {" MT-PRIORITY=", 501, NULL},
        {" MT-PRIORITY", 501, NULL},
        {" MT-PRIORITY=1 MT-PRIORITY=1", 501, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_mail mail = {0};
        const struct smtp_fault *fault = smtp_parameter_mail(arena, slice_str(cases[i].text), false, &mail);
        struct slice printed = smtp_parameter_print_mail(arena, &mail.envelope, ENVELOPE_ALL);
        struct envelope_mail again;

        check(fault, cases[i].code, printed, cases[i].printed, cases[i].text);
        assert_null(smtp_parameter_print_mail(arena, &mail.envelope, ENVELOPE_DSN | ENVELOPE_DELIVERBY).p);
        if (fault)
            continue;
        smtp_parameter_read_mail(arena, printed, &again);
        assert_int_equal(again.priority, mail.envelope.priority);
        again = envelope_passed_on(&again, 0, 0); /* a next hop that offers it is told, asked for or not */
        check(NULL, 0, smtp_parameter_print_mail(arena, &again, ENVELOPE_MT_PRIORITY),
              cases[i].printed ? cases[i].printed : "MT-PRIORITY=0", cases[i].text);
    }
}

static void test_stored_by_a_newer_version(void **state)
{
    struct envelope_mail mail;

    (void)state;
    smtp_parameter_read_mail(arena, SLICE("RET=HDRS NOVELTY=1 ENVID=x"), &mail);
    assert_int_equal(mail.ret, ENVELOPE_RETURN_HEADER);
    assert_true(slice_equal(mail.envid, SLICE("x")));
    smtp_parameter_read_mail(arena, (struct slice){NULL, 0}, &mail);
    assert_int_equal(mail.ret, ENVELOPE_RETURN_UNSAID);
    assert_null(mail.envid.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail),           cmocka_unit_test(test_rcpt),
        cmocka_unit_test(test_future_release), cmocka_unit_test(test_deliver_by),
        cmocka_unit_test(test_priority),       cmocka_unit_test(test_stored_by_a_newer_version),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
