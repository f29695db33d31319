/*
 * smtp_fields: which fields go, and that nothing else does.  Each case is fed whole and in small pieces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "protocols/smtp_fields.h"

#include <stdio.h>
#include <stdlib.h>

struct collected {
    char bytes[4096];
    size_t n;
};

static void collect(void *arg, struct slice bytes)
{
    struct collected *collected = arg;
    assert_true(bytes.n > 0);
    assert_true(collected->n + bytes.n <= sizeof(collected->bytes));
    memcpy(collected->bytes + collected->n, bytes.p, bytes.n);
    collected->n += bytes.n;
}

static void check(const char *in, const char *expected, bool date, bool message_id)
{
    static const size_t steps[] = {100000, 1, 2, 3, 7};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct smtp_fields fields = {0};
        struct collected out = {.n = 0};
        for (struct slice rest = slice_str(in); rest.n;) {
            size_t n = rest.n < steps[i] ? rest.n : steps[i];
            smtp_fields_feed(&fields, slice_of(rest.p, n), collect, &out);
            rest = slice_skip(rest, n);
        }
        smtp_fields_finish(&fields, collect, &out);
        if (!slice_equal(slice_of(out.bytes, out.n), slice_str(expected)))
            fail_msg("\"%s\" in steps of %zu became \"%.*s\"", in, steps[i], (int)out.n, out.bytes);
        assert_int_equal(fields.date, date);
        assert_int_equal(fields.message_id, message_id);
    }
}

static void test_bcc_goes(void **state)
{
    (void)state;
    check("To: a@b\r\nBcc: c@d\r\nX: y\r\n\r\nbody\r\n", "To: a@b\r\nX: y\r\n\r\nbody\r\n", false, false);
    check("bCC: c@d,\r\n e@f,\r\n\tg@h\r\nTo: a@b\r\n folded\r\n\r\n", "To: a@b\r\n folded\r\n\r\n", false, false);
    check("Bcc:\r\n\r\n", "\r\n", false, false);
    check("Bcc \t: c@d\r\nResent-Bcc: e@f\r\nbcc:g\r\n\r\n", "\r\n", false, false);
    check("Bcc: the message ends", "", false, false);
    check("no colon\r\nBcc: c@d\r\n\r\n", "no colon\r\n\r\n", false, false);
    check("To: a\r\nBcc: c\r\nDate: d\r\n\r\n", "To: a\r\nDate: d\r\n\r\n", true, false);
}

static struct slice kept(struct smtp_fields *fields, const char *in)
{
    struct collected out = {.n = 0};

    *fields = (struct smtp_fields){0};
    smtp_fields_feed(fields, slice_str(in), collect, &out);
    smtp_fields_finish(fields, collect, &out);
    return smtp_fields_bcc(fields);
}

/* For the account's own copy: whole lines, as many as there is room for. */
static void test_bcc_is_kept(void **state)
{
    struct smtp_fields fields;
    char *text = NULL;
    size_t size = 0;
    FILE *long_one = open_memstream(&text, &size);

    (void)state;
    assert_int_equal(kept(&fields, "To: a@b\r\n\r\nBcc: c@d\r\n").n, 0);
    assert_true(slice_equal(kept(&fields, "bcc : c@d,\r\n e@f\r\nTo: a@b\r\nResent-Bcc: g@h\r\n\r\n"),
                            SLICE("bcc : c@d,\r\n e@f\r\nResent-Bcc: g@h\r\n")));
    assert_int_equal(kept(&fields, "Bcc: no end").n, 0);
    fprintf(long_one, "To: x\r\nBcc: a@b,\r\n");
    for (unsigned i = 0; i < 100; i++)
        fprintf(long_one, " user%03u@example.test,\r\n", i);
    fprintf(long_one, " last@example.test\r\n\r\n");
    fclose(long_one);
    struct slice most = kept(&fields, text);
    assert_true(most.n > SMTP_FIELDS_BCC_MAX - 30 && most.n <= SMTP_FIELDS_BCC_MAX && most.p[most.n - 1] == '\n');
    free(text);
}

static void test_the_rest_stays(void **state)
{
    static const char *const same[] = {
        "",
        "Bcc",
        "X-Bcc: c\r\nBcc-X: c\r\nBc: c\r\nBccc: c\r\n\r\n",
        "To: a\r\n\r\nBcc: c\r\nDate: d\r\nMessage-ID: <i>\r\n",
        "\r\nBcc: c\r\n",
        "To: a\r\n Bcc: c\r\n\tBcc: c\r\n\r\n",
        "A-name-longer-than-any-of-ours: x\r\nBcc                     : not ours\r\n\r\n",
        "Subject: Bcc: c\r\n\r\n",
        "\r",
        ": no name\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        check(same[i], same[i], false, false);
}

static void test_what_is_there(void **state)
{
    (void)state;
    check("Date: d\r\n\r\n", "Date: d\r\n\r\n", true, false);
    check("DATE : d\r\nmessage-id: <i>\r\n", "DATE : d\r\nmessage-id: <i>\r\n", true, true);
    check("Resent-Date: d\r\nMessage-IDs: i\r\n\r\n", "Resent-Date: d\r\nMessage-IDs: i\r\n\r\n", false, false);
    check("Date\r\n\r\n", "Date\r\n\r\n", false, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bcc_goes), cmocka_unit_test(test_bcc_is_kept),
        cmocka_unit_test(test_the_rest_stays),
        cmocka_unit_test(test_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
