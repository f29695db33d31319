/*
 * tlsrpt: records as RFC 8460 has them and as strangers may write them, and a report word for word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/tlsrpt.h"

static void test_record(void **state)
{
    static const struct {
        const char *texts[2], *to; /* NULL: none */
    } cases[] = {
        {{"v=TLSRPTv1; rua=mailto:reports@example.com"}, "m:reports@example.com "},
        {{"v=TLSRPTv1;rua=https://reporting.example.com/v1/tlsrpt"}, "h:https://reporting.example.com/v1/tlsrpt "},
        {{"v=TLSRPTv1; rua=mailto:a@x.test , https://y.test/ ;"}, "m:a@x.test h:https://y.test/ "},
        {{"v=TLSRPTv1; rua=MAILTO:a%2Cb@x.test?subject=hello"}, "m:a,b@x.test "},
        {{"v=TLSRPTv1; more=1; rua=mailto:a@x"}, "m:a@x "},
        {{"v=TLSRPTv1; rua=ftp://x.test/,mailto:a@x"}, "m:a@x "},
        {{"v=TLSRPTv1; rua=http://x.test/"}, NULL},
        {{"v=TLSRPTv1; rua=mailto:nobody"}, NULL},
        {{"v=TLSRPTv1; rua=mailto:a%0d%0ab@x"}, NULL},
        {{"v=TLSRPTv1; rua=mailto:a%20b@x"}, NULL},
        {{"v=TLSRPTv1; rua=mailto:a>b@x"}, NULL},
        {{"v=TLSRPTv1; rua=mailto:a%4"}, NULL},
        {{"v=TLSRPTv1; rua="}, NULL},
        {{"v=TLSRPTv1;"}, NULL},
        {{"v=TLSRPTv1"}, NULL},
        {{"v=TLSRPTv1; rua=mailto:a@x", "v=TLSRPTv1; rua=mailto:b@x"}, NULL},
        {{"v=spf1", "v=TLSRPTv1; rua=mailto:b@x"}, "m:b@x "},
        {{"v=TLSRPTv1; rua=mailto:1@x,mailto:2@x,mailto:3@x,mailto:4@x,mailto:5@x"}, "m:1@x m:2@x m:3@x m:4@x "},
        {{""}, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new(100000);
        struct slice texts[2] = {slice_str(cases[i].texts[0]), slice_str(cases[i].texts[1])};
        struct tlsrpt_rua rua[TLSRPT_RUA_MAX];
        unsigned count;
        bool found = tlsrpt_record_parse(arena, texts, texts[1].p ? 2 : 1, rua, &count);
        char to[300] = "";

        for (unsigned j = 0; j < count; j++)
            snprintf(to + strlen(to), sizeof to - strlen(to), "%c:%s ", rua[j].mail ? 'm' : 'h', rua[j].to);
        assert_int_equal(found, cases[i].to != NULL);
        if (found)
            assert_string_equal(to, cases[i].to);
        arena_free(&arena);
    }
}

static void test_report(void **state)
{
    static const struct tlsrpt_row rows[] = {
        {.policy_type = SLICE("sts"),
         .policy = SLICE("version: STSv1\nmode: testing"),
         .mx_patterns = SLICE("*.b.test\nmx.b.test"),
         .sessions = 5326},
        {.policy_type = SLICE("sts"),
         .policy = SLICE("version: STSv1\nmode: testing"),
         .mx_patterns = SLICE("*.b.test\nmx.b.test"),
         .result = SLICE("certificate-expired"),
         .mx = SLICE("mx1.b.test"),
         .sending = SLICE("2001:db8::1"),
         .receiving = SLICE("192.0.2.7"),
         .sessions = 100},
        {.policy_type = SLICE("sts"),
         .policy = SLICE("version: STSv1\nmode: testing"),
         .mx_patterns = SLICE("*.b.test\nmx.b.test"),
         .result = SLICE("starttls-not-supported"),
         .mx = SLICE("mx2.b.test"),
         .reason = SLICE("a \"word\"\n"),
         .sessions = 3},
        {.policy_type = SLICE("no-policy-found"), .sessions = 1},
    };
    static const struct tlsrpt_report report = {
        .organization = "Company \\ X",
        .contact = "tls@a.test",
        .report_id = "1@a.test",
        .domain = SLICE("b.test"),
        .begin_ms = INT64_C(1459468800000),
        .end_ms = INT64_C(1459555199000),
        .rows = rows,
        .count = 4,
    };
    static const char expected[] =
        "{\"organization-name\":\"Company \\\\ X\",\"date-range\":{\"start-datetime\":\"2016-04-01T00:00:00Z\","
        "\"end-datetime\":\"2016-04-01T23:59:59Z\"},\"contact-info\":\"tls@a.test\",\"report-id\":\"1@a.test\",\"policies\":["
        "{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\",\"mode: testing\"],"
        "\"policy-domain\":\"b.test\",\"mx-host\":[\"*.b.test\",\"mx.b.test\"]},"
        "\"summary\":{\"total-successful-session-count\":5326,\"total-failure-session-count\":103},"
        "\"failure-details\":[{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"2001:db8::1\","
        "\"receiving-mx-hostname\":\"mx1.b.test\",\"receiving-ip\":\"192.0.2.7\",\"failed-session-count\":100},"
        "{\"result-type\":\"starttls-not-supported\",\"receiving-mx-hostname\":\"mx2.b.test\","
        "\"failure-reason-code\":\"a \\\"word\\\"\\u000a\",\"failed-session-count\":3}]},"
        "{\"policy\":{\"policy-type\":\"no-policy-found\",\"policy-domain\":\"b.test\"},"
        "\"summary\":{\"total-successful-session-count\":1,\"total-failure-session-count\":0}}]}\n";
    struct arena *arena = arena_new(100000);
    struct slice json = tlsrpt_json(arena, &report);

    (void)state;
    assert_string_equal(arena_slicedup(arena, json), expected);
    arena_free(&arena);
}

static void test_words(void **state)
{
    (void)state;
    for (unsigned i = TLSRPT_SUCCESS; i <= TLSRPT_STS_WEBPKI_INVALID; i++)
        for (unsigned j = i + 1; j <= TLSRPT_STS_WEBPKI_INVALID; j++)
            assert_string_not_equal(tlsrpt_result_word((enum tlsrpt_result)i),
                                    tlsrpt_result_word((enum tlsrpt_result)j));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
