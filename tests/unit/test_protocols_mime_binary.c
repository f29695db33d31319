/*
 * mime_binary: what becomes of BODY=BINARYMIME.  Each case is fed whole and in small pieces; what came out is fed
 * again, and must stay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocols/mime_base64.h"
#include "protocols/mime_binary.h"

#define HEADER_MAX 4096

/* A string with NULs in it. */
#define BYTES(literal) ((struct slice){(literal), sizeof(literal) - 1})

struct collected {
    char bytes[65536];
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

static enum mime_binary_fault run(struct slice in, size_t step, struct collected *out, unsigned *converted)
{
    struct mime_binary *binary = mime_binary_new(HEADER_MAX);
    enum mime_binary_fault fault;

    out->n = 0;
    while (in.n) {
        size_t n = in.n < step ? in.n : step;
        mime_binary_feed(binary, slice_of(in.p, n), collect, out);
        in = slice_skip(in, n);
    }
    mime_binary_finish(binary, collect, out);
    fault = mime_binary_fault(binary);
    *converted = mime_binary_converted(binary);
    mime_binary_free(&binary);
    return fault;
}

static const size_t steps[] = {100000, 1, 2, 3, 7};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static void check(struct slice in, struct slice expected, unsigned changes)
{
    static struct collected out, again;
    unsigned converted;

    for (size_t i = 0; i < STEPS; i++) {
        assert_int_equal(run(in, steps[i], &out, &converted), MIME_BINARY_FINE);
        if (!slice_equal(slice_of(out.bytes, out.n), expected))
            fail_msg("\"%.*s\" in steps of %zu became \"%.*s\"", SLICE_ARG(in), steps[i], (int)out.n, out.bytes);
        assert_int_equal(converted, changes);
    }
    assert_int_equal(run(slice_of(out.bytes, out.n), 5, &again, &converted), MIME_BINARY_FINE);
    assert_int_equal(converted, 0);
    assert_true(slice_equal(slice_of(out.bytes, out.n), slice_of(again.bytes, again.n)));
}

static void check_refused(struct slice in, enum mime_binary_fault fault)
{
    static struct collected out;
    unsigned converted;

    for (size_t i = 0; i < STEPS; i++)
        if (run(in, steps[i], &out, &converted) != fault)
            fail_msg("\"%.*s\" in steps of %zu", SLICE_ARG(in), steps[i]);
}

static void check_same(struct slice in)
{
    check(in, in, 0);
}

static void test_what_is_not_binary_stays(void **state)
{
    (void)state;
    check_same(BYTES(""));
    check_same(BYTES("\r\n"));
    check_same(BYTES("\r\nbody without header"));
    check_same(BYTES("Subject: x\r\n\r\nlines\r\n\r\n--\r\n--x--\r\n.\r\nno end"));
    check_same(BYTES("Subject: header only"));
    check_same(BYTES("Content-Transfer-Encoding: 8bit\r\n\r\n\xe4\xf6\r\n"));
    check_same(BYTES(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n"));
    check_same(BYTES("Content-Transfer-Encoding: x-binary\r\n\r\nlines\r\n"));
}

static void test_a_leaf(void **state)
{
    (void)state;
    check(BYTES("A: b\r\nContent-Transfer-Encoding: binary\r\nC: d\r\n\r\n\0\r\n\rx\n"),
          BYTES("A: b\r\nContent-Transfer-Encoding: base64\r\nC: d\r\n\r\nAA0KDXgK\r\n"), 1);
    check(BYTES("content-transfer-encoding :\r\n \"Binary\" (really)\r\n\r\nab"),
          BYTES("content-transfer-encoding : base64\r\n\r\nYWI=\r\n"), 1);
    check(BYTES("Content-Transfer-Encoding: binary\r\n\r\n"), BYTES("Content-Transfer-Encoding: base64\r\n\r\n"), 1);
    check(BYTES("Content-Transfer-Encoding: binary"), BYTES("Content-Transfer-Encoding: base64\r\n"), 1);
    /* a full line, and one octet more; what looks like a boundary is none without a multipart */
    check(
        BYTES(
            "Content-Transfer-Encoding: binary\r\n\r\n\r\n--\r\n--b\r\n--012345678901234567890123456789012345678901234567"),
        BYTES("Content-Transfer-Encoding: base64\r\n\r\n"
              "DQotLQ0KLS1iDQotLTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\r\nNDU2Nw==\r\n"),
        1);
}

static void test_multiparts(void **state)
{
    (void)state;
    check(BYTES("Content-Type: multipart/mixed; boundary=\"o\"\r\nContent-Transfer-Encoding: binary\r\n\r\n"
                "preamble\r\n--ox\r\n--o\r\n"
                "Content-Type: text/plain\r\n\r\nplain\r\n--o \t\r\n"
                "Content-Transfer-Encoding: binary\r\n\r\n\n--o\r\r\n\0\r\n--o\r\n"
                "Content-Transfer-Encoding: binary\r\n\r\n\r\n--o\r\n"
                "Content-Transfer-Encoding: binary\r\n\r\n--o--\r\nepilogue\r\n--o\r\n"),
          BYTES("Content-Type: multipart/mixed; boundary=\"o\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                "preamble\r\n--ox\r\n--o\r\n"
                "Content-Type: text/plain\r\n\r\nplain\r\n--o \t\r\n"
                "Content-Transfer-Encoding: base64\r\n\r\nCi0tbw0NCgA=\r\n--o\r\n"
                "Content-Transfer-Encoding: base64\r\n\r\n\r\n--o\r\n"
                "Content-Transfer-Encoding: base64\r\n\r\n--o--\r\nepilogue\r\n--o\r\n"),
          4);
    /* a part that ends with its header, and one that the message ends in */
    check(
        BYTES(
            "Content-Type: multipart/x; boundary=o\r\n\r\n--o\r\nContent-Transfer-Encoding: binary\r\n--o\r\n\r\n--o\r\n"
            "Content-Transfer-Encoding: binary\r\n\r\nab\r"),
        BYTES(
            "Content-Type: multipart/x; boundary=o\r\n\r\n--o\r\nContent-Transfer-Encoding: base64\r\n--o\r\n\r\n--o\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\nYWIN\r\n"),
        2);
    /* the closing line without its end */
    check(
        BYTES(
            "Content-Type: multipart/x; boundary=o\r\n\r\n--o\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\r\n--o--"),
        BYTES(
            "Content-Type: multipart/x; boundary=o\r\n\r\n--o\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n--o--"),
        1);
}

static void test_nesting(void **state)
{
    (void)state;
    /* the outer boundary ends what the inner one leaves open; a message in a message */
    check(BYTES("Content-Type: multipart/mixed; boundary=o\r\nContent-Transfer-Encoding: binary\r\n\r\n--o\r\n"
                "Content-Type: multipart/alternative; boundary=i\r\nContent-Transfer-Encoding: binary\r\n\r\n--i\r\n"
                "Content-Transfer-Encoding: binary\r\n\r\n\0\r\n--o\r\n"
                "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n"
                "Subject: in\r\nContent-Transfer-Encoding: binary\r\n\r\n--i\r\n\r\r\n--o\r\n"
                "Content-Type: message/global\r\nContent-Transfer-Encoding: binary\r\n\r\n"
                "Subject: in\r\n\r\n\xc3\xa4\r\n--o--\r\n"),
          BYTES("Content-Type: multipart/mixed; boundary=o\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--o\r\n"
                "Content-Type: multipart/alternative; boundary=i\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--i\r\n"
                "Content-Transfer-Encoding: base64\r\n\r\nAA==\r\n--o\r\n"
                "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                "Subject: in\r\nContent-Transfer-Encoding: base64\r\n\r\nLS1pDQoN\r\n--o\r\n"
                "Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                "Subject: in\r\n\r\n\xc3\xa4\r\n--o--\r\n"),
          6);
    /* the parts of a digest are messages */
    check(
        BYTES(
            "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\r\n--d--\r\n"),
        BYTES(
            "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n--d--\r\n"),
        1);
    /* fields of other kinds of message are lines */
    check(
        BYTES(
            "Content-Type: message/delivery-status\r\nContent-Transfer-Encoding: binary\r\n\r\nReporting-MTA: dns; x\r\n"),
        BYTES(
            "Content-Type: message/delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\nReporting-MTA: dns; x\r\n"),
        1);
}

/* Encoded already: encodings do not nest, so nothing in it is a part. */
static void test_an_encoded_multipart_is_a_leaf(void **state)
{
    (void)state;
    check_same(BYTES("Content-Type: multipart/mixed; boundary=o\r\nContent-Transfer-Encoding: base64\r\n\r\n--o\r\n"
                     "Content-Transfer-Encoding: binary\r\n\r\nx\r\n--o--\r\n"));
}

static void test_signed(void **state)
{
    (void)state;
    check(
        BYTES(
            "Content-Type: multipart/signed; boundary=s\r\nContent-Transfer-Encoding: binary\r\n\r\n--s\r\n"
            "Content-Transfer-Encoding: 7bit\r\n\r\nx\r\n--s\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\r\n--s--\r\n"),
        BYTES(
            "Content-Type: multipart/signed; boundary=s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--s\r\n"
            "Content-Transfer-Encoding: 7bit\r\n\r\nx\r\n--s\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n--s--\r\n"),
        2);
    check_refused(
        BYTES(
            "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Transfer-Encoding: binary\r\n\r\nx\r\n--s--\r\n"),
        MIME_BINARY_SIGNED);
    check_refused(
        BYTES(
            "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
            "--i\r\nContent-Transfer-Encoding: binary\r\n\r\nx\r\n--s--\r\n"),
        MIME_BINARY_SIGNED);
}

static void test_what_no_part_declares(void **state)
{
    static const struct slice cases[] = {
        BYTES("Subject: \0\r\n\r\n"),
        BYTES("Subject: x\n\r\n\r\n"),
        BYTES("Subject: x\ry\r\n\r\n"),
        BYTES("Subject: x\r"),
        BYTES("Subject: x\r\n\r\n\0"),
        BYTES("Subject: x\r\n\r\na\rb"),
        BYTES("Subject: x\r\n\r\na\nb"),
        BYTES("Subject: x\r\n\r\n\n"),
        BYTES("Subject: x\r\n\r\na\r"),
        BYTES("Subject: x\r\n\r\na\r\r\n"),
        BYTES("Subject: x\r\n\r\n--a\0b\r\n"),
        BYTES("Subject: x\r\n\r\n--a\nb\r\n"),
        BYTES("Content-Transfer-Encoding: 8bit\r\n\r\n\0"),
        BYTES("Content-Transfer-Encoding: base64\r\n\r\n\0"),
        BYTES("Content-Type: multipart/x; boundary=o\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\r\n--o--\r\n"),
        BYTES("Content-Type: multipart/x; boundary=o\r\nContent-Transfer-Encoding: binary\r\n\r\n--o--\r\n\0"),
        BYTES("Content-Type: multipart/x; boundary=o\r\n\r\n--o\r\n\0: x\r\n\r\n--o--\r\n"),
        BYTES("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\nA: b\r\n\r\n\0"),
        BYTES("Content-Type: message/partial\r\nContent-Transfer-Encoding: binary\r\n\r\n\0"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_refused(cases[i], MIME_BINARY_UNDECLARED);
}

static void test_what_is_doubtful(void **state)
{
    static char text[8192];
    size_t n;

    (void)state;
    check_refused(BYTES("Content-Transfer-Encoding: binary\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"),
                  MIME_BINARY_MALFORMED);
    check_refused(BYTES("Content-Type: a/b\r\ncontent-type: c/d\r\n\r\n"), MIME_BINARY_MALFORMED);
    check_refused(BYTES("Content-Transfer-Encoding: (binary)\r\n\r\n"), MIME_BINARY_MALFORMED);
    check_refused(BYTES("Content-Type: multipart/mixed\r\nContent-Transfer-Encoding: binary\r\n\r\n"),
                  MIME_BINARY_MALFORMED);
    n = (size_t)snprintf(text, sizeof text, "Content-Type: multipart/x; boundary=%0257d\r\n\r\n", 0);
    check_refused(slice_of(text, n), MIME_BINARY_MALFORMED);
    n = (size_t)snprintf(text, sizeof text, "Content-Type: multipart/x; boundary=o\r\n\r\n--o%2000s\r\n", "");
    check_refused(slice_of(text, n), MIME_BINARY_MALFORMED);
    n = (size_t)snprintf(text, sizeof text, "Subject: %5000s\r\n\r\n", "");
    check_refused(slice_of(text, n), MIME_BINARY_MALFORMED);
    n = (size_t)snprintf(text, sizeof text, "Content-Type: multipart/x; boundary=o\r\n\r\n--ox%2000s\r\n--%2000sx\r\n",
                         "", "");
    check_same(slice_of(text, n));
}

/* One more than can be open at once; those that are closed do not count. */
static void test_depth(void **state)
{
    static char text[8192];
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < 30; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "Content-Type: multipart/x; boundary=b%u\r\n\r\n--b%u\r\n", i,
                              i);
    check_refused(slice_of(text, n), MIME_BINARY_MALFORMED);
    n = (size_t)snprintf(text, sizeof text, "Content-Type: multipart/x; boundary=o\r\n\r\n");
    for (unsigned i = 0; i < 30; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "--o\r\nContent-Type: multipart/x; boundary=b%u\r\n\r\n--b%u\r\n\r\n", i, i);
    check_same(slice_of(text, n));
}

static void test_base64_has_room(void **state)
{
    (void)state;
    for (size_t n = 1; n < 400; n++) {
        char *in = calloc(1, n), *out = malloc(MIME_BASE64_ROOM(n));
        struct mime_base64 base64 = {.n = 2, .column = MIME_BASE64_LINE};
        size_t written = mime_base64_encode(&base64, slice_of(in, n), out);

        assert_true(written <= MIME_BASE64_ROOM(n));
        free(in);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_binary_stays),
        cmocka_unit_test(test_a_leaf),
        cmocka_unit_test(test_multiparts),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_an_encoded_multipart_is_a_leaf),
        cmocka_unit_test(test_signed),
        cmocka_unit_test(test_what_no_part_declares),
        cmocka_unit_test(test_what_is_doubtful),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_base64_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
