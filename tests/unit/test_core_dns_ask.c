/*
 * core/dns_ask without a network: names of addresses in lists, records of strangers, and a resolver that is not there:
 * FAILED by a call, and no call for what was cancelled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/dns_ask.h"
#include "core/log.h"
#include "core/loop.h"

static void test_reversed_names(void **state)
{
    static const struct {
        const char *address, *zone, *name; /* NULL: there is none */
    } cases[] = {
        {"192.0.2.99", "bad.example.com", "99.2.0.192.bad.example.com"}, /* RFC 5782 2.1 */
        {"2001:db8:1:2:3:4:567:89ab", "ugly.example.com",
         "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com"}, /* 2.4 */
        {"127.0.0.1", "in-addr.arpa", "1.0.0.127.in-addr.arpa"},
        {"::", "x.y", "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.x.y"},
        {"192.0.2", "x.y", NULL},
        {"", "x.y", NULL},
        {"name", "x.y", NULL},
    };
    char name[256], zone[256], small[20];

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(dns_reversed_name(cases[i].address, cases[i].zone, name, sizeof name), cases[i].name != NULL);
        if (cases[i].name)
            assert_string_equal(name, cases[i].name);
    }
    memset(zone, 'a', 250);
    zone[250] = '\0';
    assert_false(dns_reversed_name("192.0.2.1", zone, name, sizeof name));
    assert_false(dns_reversed_name("192.0.2.1", "bad.example.com", small, sizeof small));
}

static void test_texts(void **state)
{
    static const struct {
        struct slice wire;
        const char *text;
    } cases[] = {
        {SLICE("\5hello"), "hello"}, {SLICE("\3see\1 \2it"), "see it"}, {SLICE(""), ""},
        {SLICE("\0"), ""},           {SLICE("\377short"), "short"},     {SLICE("\7a\r\n\0\177\377b"), "a?????b"},
    };
    char out[64], small[4];

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dns_record record = {(const unsigned char *)cases[i].wire.p, cases[i].wire.n};

        dns_record_text(&record, out, sizeof out);
        assert_string_equal(out, cases[i].text);
        dns_record_text(&record, small, sizeof small);
        assert_true(strlen(small) < sizeof small && strncmp(small, cases[i].text, strlen(small)) == 0);
    }
}

static void test_names(void **state)
{
    static const struct {
        struct slice wire;
        const char *name; /* NULL: none */
    } cases[] = {
        {SLICE("\4Mail\7example\4test\0"), "mail.example.test"},
        {SLICE("\0"), NULL},
        {SLICE(""), NULL},
        {SLICE("\4mail"), NULL},
        {SLICE("\3a.b\0"), NULL},
        {SLICE("\3a\rb\0"), NULL},
        {SLICE("\300\14"), NULL},
    };
    char out[64];

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dns_record record = {(const unsigned char *)cases[i].wire.p, cases[i].wire.n};

        assert_int_equal(dns_record_name(&record, out, sizeof out), cases[i].name != NULL);
        if (cases[i].name)
            assert_string_equal(out, cases[i].name);
    }
    assert_false(dns_record_name(&(struct dns_record){(const unsigned char *)"\4mail\0", 6}, out, 4));
}

static unsigned failed;

static void on_failed(void *arg, enum dns_status status, const struct dns_record *records, unsigned count)
{
    (void)records;
    assert_int_equal(status, DNS_FAILED);
    assert_int_equal(count, 0);
    failed++;
    if (arg)
        loop_stop();
}

static void test_nobody_answers(void **state)
{
    static char label[400];
    struct dns_ask *ask = dns_ask("a.example.com", DNS_TYPE_A, on_failed, NULL);

    (void)state;
    assert_non_null(ask);
    dns_ask_cancel(&ask);
    assert_null(ask);
    dns_ask_cancel(&ask);
    assert_non_null(dns_ask("b.example.com", DNS_TYPE_TXT, on_failed, &failed));
    loop_run();
    assert_int_equal(failed, 1);
    memset(label, 'a', sizeof label - 1);
    if (dns_ask(label, DNS_TYPE_A, on_failed, &failed)) /* else it is told at once */
        loop_run();
    assert_int_equal(failed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reversed_names), cmocka_unit_test(test_texts),
                                       cmocka_unit_test(test_names), cmocka_unit_test(test_nobody_answers)};
    int status;

    log_init("test_core_dns_ask");
    loop_init();
    dns_init(&(struct dns_settings){.resolver = "127.0.0.1@1"});
    status = cmocka_run_group_tests(tests, NULL, NULL);
    dns_done();
    loop_done();
    return status;
}
