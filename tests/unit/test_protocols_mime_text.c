/*
 * mime: fields, ENVELOPE, BODYSTRUCTURE and searching: folded lines, encoded words, decoded bodies, the days of dates.
 */
#include <event2/buffer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/mime.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(SIZE_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static const char *taken(struct evbuffer *out)
{
    size_t n = evbuffer_get_length(out);
    char *text = arena_alloc(arena, n + 1);

    evbuffer_remove(out, text, n);
    evbuffer_free(out);
    return text;
}

static const char *envelope(const char *message)
{
    struct evbuffer *out = evbuffer_new();

    mime_write_envelope(out, arena, mime_parse(arena, slice_str(message)));
    return taken(out);
}

static const char *structure(const char *message, bool extended)
{
    struct evbuffer *out = evbuffer_new();

    mime_write_structure(out, arena, mime_parse(arena, slice_str(message)), extended);
    return taken(out);
}

/* ------------------------------------------------------------------ fields */

#define HEADER                                                                                                         \
    "Received: by a;\r\n\tTue\r\nSubject: one\r\n two\r\nX-Empty:\r\nreceived: by b\r\nNo colon here\r\nSubject : "    \
    "other\r\n\r\n"

static void test_a_field_unfolded(void **state)
{
    const struct slice header = SLICE(HEADER);

    (void)state;
    assert_string_equal(mime_field(arena, header, "subject").p, "one two"); /* the first of several */
    assert_string_equal(mime_field(arena, header, "RECEIVED").p, "by a;\tTue");
    assert_string_equal(mime_field(arena, header, "X-Empty").p, ""); /* empty is there ... */
    assert_null(mime_field(arena, header, "X-Absent").p);            /* ... and absent is not */
    assert_null(mime_field(arena, header, "Subj").p);
    assert_null(mime_field(arena, header, "No colon here").p);
    assert_null(mime_field(arena, header, "").p);
}

static void test_fields_chosen(void **state)
{
    const struct slice header = SLICE(HEADER), names[] = {SLICE("SUBJECT"), SLICE("x-empty"), SLICE("X-Absent")};
    struct slice out = mime_fields(arena, header, names, COUNT(names), false);

    (void)state;
    /* As they are written, folded, all of them, in their order, and an empty line (RFC 3501 6.4.5) */
    assert_true(slice_equal(out, SLICE("Subject: one\r\n two\r\nX-Empty:\r\nSubject : other\r\n\r\n")));
    out = mime_fields(arena, header, names, COUNT(names), true);
    assert_true(slice_equal(out, SLICE("Received: by a;\r\n\tTue\r\nreceived: by b\r\nNo colon here\r\n\r\n")));
    assert_true(slice_equal(mime_fields(arena, header, names + 2, 1, false), SLICE("\r\n")));
    assert_true(slice_equal(mime_fields(arena, SLICE(""), names, COUNT(names), true), SLICE("\r\n")));
}

/* ------------------------------------------------------------------ ENVELOPE (RFC 3501 7.4.2) */

#define INVALID "\"invalid\" \"internationalized-address.invalid\""

static void assert_ascii(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p < ' ' || *p > '~')
            fail_msg("%s", text);
}

/* RFC 6532 headers, told to clients that know nothing of them: in ASCII, all of it. */
static void test_envelope_in_utf8(void **state)
{
    (void)state;
    assert_string_equal(envelope("From: J\xc3\xbcrgen <j\xc3\xbc@b\xc3\xbc"
                                 "cher.test>\r\nSender: <\xc3\xa9@e.test>\r\n"
                                 "Reply-To: Ann <ann@b\xc3\xbc"
                                 "cher.test>\r\n\r\n"),
                        "(NIL NIL ((\"=?iso-8859-1?q?J=FCrgen_=3Cj=FC=40b=FCcher=2Etest=3E?=\" NIL " INVALID "))"
                        " ((\"=?iso-8859-1?q?=3C=E9=40e=2Etest=3E?=\" NIL " INVALID "))"
                        " ((\"Ann\" NIL \"ann\" \"xn--bcher-kva.test\")) NIL NIL NIL NIL NIL)");
    assert_ascii(envelope(
        "Subject: \xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 \xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1"
        "\x82 \xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 \xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82\r\n"
        "Date: \xc3\xbc\r\nIn-Reply-To: <\xc3\xbc@x>\r\nMessage-ID: <\xc3\xbc@x>\r\n\r\n"));
    assert_string_equal(envelope("Subject: sch\xf6n\r\n\r\n"), /* not UTF-8: nobody knows what it is */
                        "(NIL {5}\r\nsch\xf6n NIL NIL NIL NIL NIL NIL NIL NIL)");
    assert_ascii(structure("Content-Type: image/png; name=\"\xc3\xbc.png\"\r\nContent-Description: \xc3\xbc\r\n"
                           "Content-ID: <\xc3\xbc@x>\r\nContent-Disposition: attachment; filename=\"\xc3\xbc.png\"\r\n"
                           "Content-Language: \xc3\xbc\r\nContent-Location: \xc3\xbc\r\n\r\nx",
                           true));
}

/* Addresses found, or -1: malformed. */
static int authors_of(const char *value)
{
    struct mime_author authors[MIME_AUTHORS_MAX];
    struct slice header = slice_str(arena_printf(arena, "From: %s\r\nSubject: x\r\n\r\n", value));
    unsigned count;

    return mime_authors(arena, header, authors, &count) ? (int)count : -1;
}

/* One reader's second address is another's junk: what one of them might show is counted or refused. */
static void test_authors_are_all_found(void **state)
{
    static const struct {
        const char *value;
        int count;
    } table[] = {
        {"a@x.test", 1},
        {"A. B <a@x.test>", 1},
        {"a@x.test <a@x.test>", 1},
        {"\"A; B, <c@x.test>\" <a@x.test>", 1},
        {"(c, d@x.test; (e)) a@x.test (f)", 1},
        {"a @ x . test", 1},
        {"\"a b\"@x.test", 1},
        {"a@[192.0.2.1]", 1},
        {"=?utf-8?q?A=2C?= <a@x.test>", 1},
        {"a@x.test, b@x.test", 2},
        {"a@x.test,, <b@x.test>,", 2},
        {"a@x.test\r\n \r\n\t,\r\n b@x.test", 2},
        {"G: a@x.test, B <b@x.test>;", 2},
        {"G: a@x.test;, c@x.test", 2},
        {"G:;", 0},
        /* nothing of these is passed over */
        {"", -1},
        {"a@x.test; b@x.test", -1},
        {"<a@x.test>; <b@x.test>", -1},
        {"a@x.test and b@x.test", -1},
        {"a@x.test b", -1},
        {"a@x.test@b@x.test", -1},
        {"a@x.test,@b@x.test", -1},
        {"<a@x.test>@<b@x.test>", -1},
        {"<a@x.test> <b@x.test>", -1},
        {"<a@x.test> b@x.test", -1},
        {"<a@x.test,b@x.test>", -1},
        {"<@x.test:b@x.test>", -1},
        {"<a@x.test", -1},
        {"a@x.test>", -1},
        {"a@x.test)b@x.test", -1},
        {"(a@x.test", -1},
        {"\"a@x.test", -1},
        {"a@x.test[b@x.test", -1},
        {"a@x.test\\b@x.test", -1},
        {"a@x.test\x01,b@x.test", -1},
        {"a@x.test\x7f", -1},
        {":a@x.test", -1},
        {"G: a@x.test", -1},
        {"G: H: a@x.test;;", -1},
        {"G: a@x.test; b@x.test", -1},
        {"G: a@x.test;; b@x.test", -1},
        {"a@x.test: b@x.test;", -1},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++)
        if (authors_of(table[i].value) != table[i].count)
            fail_msg("%s: %d", table[i].value, authors_of(table[i].value));
}

static void test_authors_in_utf8(void **state)
{
    struct mime_author authors[MIME_AUTHORS_MAX];
    unsigned count;

    (void)state;
    assert_true(mime_authors(arena,
                             SLICE("From: J\xc3\xbcrgen <j\xc3\xbc@b\xc3\xbc"
                                   "cher.test>, \"j\xc3\xbc x\"@e.test\r\n\r\n"),
                             authors, &count));
    assert_int_equal(count, 2);
    assert_string_equal(authors[0].address.p, "j\xc3\xbc@b\xc3\xbc"
                                              "cher.test");
    assert_string_equal(authors[1].address.p, "\"j\xc3\xbc x\"@e.test");
    assert_true(mime_headers_eight_bit(mime_parse(
        arena, SLICE("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: \xc3\xbc\r\n\r\n\r\n--b--\r\n"))));
    assert_false(mime_headers_eight_bit(mime_parse(
        arena, SLICE("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: y\r\n\r\n\xc3\xbc\r\n--b--\r\n"))));
}

static void test_envelope(void **state)
{
    (void)state;
    assert_string_equal(envelope("\r\n"), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
    assert_string_equal(
        envelope(
            "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.test>\r\nSubject: Minutes\r\n"
            "To: imap@cac.test\r\ncc: a@b.test, John Klensin <KLENSIN@MIT.test>\r\nMessage-Id: <B27@cac.test>\r\n\r\n"),
        "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"Minutes\" ((\"Terry Gray\" NIL \"gray\" \"cac.test\"))"
        " ((\"Terry Gray\" NIL \"gray\" \"cac.test\")) ((\"Terry Gray\" NIL \"gray\" \"cac.test\"))"
        " ((NIL NIL \"imap\" \"cac.test\")) ((NIL NIL \"a\" \"b.test\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.test\"))"
        " NIL NIL \"<B27@cac.test>\")");
    assert_string_equal(
        envelope("From: a@a.test\r\nSender: s@s.test\r\nReply-To: r@r.test\r\nBcc: b@b.test\r\n"
                 "In-Reply-To: <1@a.test>\r\n\r\n"),
        "(NIL NIL ((NIL NIL \"a\" \"a.test\")) ((NIL NIL \"s\" \"s.test\")) ((NIL NIL \"r\" \"r.test\"))"
        " NIL NIL ((NIL NIL \"b\" \"b.test\")) \"<1@a.test>\" NIL)");
}

/* RFC 3501 7.4.2: the local part without its quoting. */
static void test_envelope_quoted_local_parts(void **state)
{
    (void)state;
    assert_string_equal(envelope("To: \"John Q\"@a.test, \"a\\\"b\"@a.test, \"@\"@a.test\r\n\r\n"),
                        "(NIL NIL NIL NIL NIL ((NIL NIL \"John Q\" \"a.test\")(NIL NIL \"a\\\"b\" \"a.test\")"
                        "(NIL NIL \"@\" \"a.test\")) NIL NIL NIL NIL)");
}

static void test_envelope_groups(void **state)
{
    (void)state;
    assert_string_equal(
        envelope("To: Crowd: a@a.test, b@b.test;, c@c.test\r\n\r\n"),
        "(NIL NIL NIL NIL NIL ((NIL NIL \"Crowd\" NIL)(NIL NIL \"a\" \"a.test\")(NIL NIL \"b\" \"b.test\")"
        "(NIL NIL NIL NIL)(NIL NIL \"c\" \"c.test\")) NIL NIL NIL NIL)");
    assert_string_equal(
        envelope("To: undisclosed-recipients:;\r\n\r\n"),
        "(NIL NIL NIL NIL NIL ((NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)");
    assert_string_equal(/* NIL would be the end of a group that did not begin */
                        envelope("To: \"\": a@a.test;\r\n\r\n"),
                        "(NIL NIL NIL NIL NIL ((NIL NIL \"\" NIL)(NIL NIL \"a\" \"a.test\")(NIL NIL NIL NIL)) NIL NIL NIL NIL)");
}

/* Encoded words stay as they are written, and UTF-8 becomes such; quotes and backslashes are quoted. */
static void test_envelope_strings(void **state)
{
    (void)state;
    assert_string_equal(envelope("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n"),
                        "(NIL \"=?utf-8?q?Gr=C3=BC=C3=9Fe?=\" NIL NIL NIL NIL NIL NIL NIL NIL)");
    assert_string_equal(envelope("Subject: say \"x\"\r\n\r\n"),
                        "(NIL \"say \\\"x\\\"\" NIL NIL NIL NIL NIL NIL NIL NIL)");
    assert_string_equal(envelope("Subject: a\\b\r\n\r\n"), "(NIL \"a\\\\b\" NIL NIL NIL NIL NIL NIL NIL NIL)");
    assert_string_equal(envelope("Subject: \xc3\xbc\r\n\r\n"),
                        "(NIL \"=?iso-8859-1?b?/A==?=\" NIL NIL NIL NIL NIL NIL NIL NIL)");
    assert_string_equal(envelope("Subject:\r\n\r\n"), "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)");
    assert_string_equal(envelope("From: =?utf-8?q?J=C3=BCrgen?= <j@j.test>\r\nSender:\r\n\r\n"),
                        "(NIL NIL ((\"=?iso-8859-1?q?J=FCrgen?=\" NIL \"j\" \"j.test\"))"
                        " ((\"=?iso-8859-1?q?J=FCrgen?=\" NIL \"j\" \"j.test\"))"
                        " ((\"=?iso-8859-1?q?J=FCrgen?=\" NIL \"j\" \"j.test\")) NIL NIL NIL NIL NIL)");
}

/* ------------------------------------------------------------------ BODYSTRUCTURE (RFC 3501 7.4.2) */

static void test_structure_of_a_text(void **state)
{
    (void)state;
    assert_string_equal(structure("Subject: x\r\n\r\none\r\ntwo\r\n", false),
                        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 10 2)");
    assert_string_equal(structure("\r\n", false),
                        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0)");
    assert_string_equal(structure("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
                                  "Content-ID: <1@a>\r\nContent-Description: d\r\nContent-MD5: m\r\n"
                                  "Content-Disposition: attachment; filename=f\r\nContent-Language: en, de\r\n"
                                  "Content-Location: l\r\n\r\nQQ==",
                                  true),
                        "(\"text\" \"html\" (\"charset\" \"utf-8\") \"<1@a>\" \"d\" \"base64\" 4 1 \"m\""
                        " (\"attachment\" (\"filename\" \"f\")) (\"en\" \"de\") \"l\")");
}

static void test_structure_of_parts(void **state)
{
    static const char message[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n"
                                  "Content-Type: image/png\r\n\r\nPNG\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
                                  "Subject: in\r\n\r\nx\r\n--b--\r\n";

    (void)state;
    assert_string_equal(structure(message, false),
                        "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 1)"
                        "(\"image\" \"png\" NIL NIL NIL \"7bit\" 3)"
                        "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 16 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL)"
                        " (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 1) 3) \"mixed\")");
    assert_string_equal(
        structure(message, true),
        "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 1 NIL NIL NIL NIL)"
        "(\"image\" \"png\" NIL NIL NIL \"7bit\" 3 NIL NIL NIL NIL)"
        "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 16 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL)"
        " (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)"
        " \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)");
}

/* ------------------------------------------------------------------ searching (RFC 3501 6.4.4) */

/* RFC 2231: continuations are joined; what is not ASCII stays in that form, and what was an encoded word stays one. */
static void test_structure_parameters(void **state)
{
    static const struct {
        const char *written, *told;
    } cases[] = {
        {"name*0*=utf-8''f%C3%B6; name*1=\"o x\"", "(\"name*\" \"utf-8''f%C3%B6o%20x\")"},
        {"name*=iso-8859-1'en'f%F6.txt", "(\"name*\" \"utf-8''f%C3%B6.txt\")"},
        {"name*0=long; name*1=er", "(\"name\" \"longer\")"},
        {"name*=us-ascii''plain%20name", "(\"name\" \"plain name\")"},
        {"name=\"=?iso-8859-1?q?f=F6?=\"", "(\"name\" \"=?iso-8859-1?b?ZvY=?=\")"},
    };

    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++)
        assert_string_equal(structure(arena_printf(arena, "Content-Type: a/b; %s\r\n\r\nx", cases[i].written), false),
                            arena_printf(arena, "(\"a\" \"b\" %s NIL NIL \"7bit\" 1)", cases[i].told));
}

static void test_structure_encoding(void **state)
{
    static const char *const written[] = {"base64", "base64 (as always)", "\"base64\"", "base64;", " base64 \t"};

    (void)state;
    for (unsigned i = 0; i < COUNT(written); i++) {
        const char *message = arena_printf(
            arena, "Content-Type: text/plain\r\nContent-Transfer-Encoding: %s\r\n\r\naGVsbG8=", written[i]);

        assert_non_null(strstr(structure(message, false), " NIL NIL \"base64\" 8 1)"));
        assert_true(mime_body_contains(mime_parse(arena, slice_str(message)), SLICE("hello")));
    }
}

static void test_search_in_headers(void **state)
{
    const struct slice any = {NULL, 0};
    const struct slice header =
        SLICE("Subject: plain\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?b?IGFuIGFsbGU=?=\r\n"
              "To: Ann\r\n <ann@example.test>\r\n\r\nSubject: no field\r\n");

    (void)state;
    assert_true(mime_header_contains(header, SLICE("SUBJECT"), SLICE("PLAIN")));
    assert_true(mime_header_contains(header, SLICE("subject"),
                                     SLICE("gr\xc3\xbc\xc3\x9f"
                                           "e AN Alle")));
    assert_false(mime_header_contains(header, SLICE("subject"), SLICE("utf-8")));
    assert_true(mime_header_contains(header, SLICE("to"), SLICE("ann <ann@")));
    assert_true(mime_header_contains(header, SLICE("to"), SLICE("")));
    assert_false(mime_header_contains(header, SLICE("cc"), SLICE("")));
    assert_false(mime_header_contains(header, SLICE("to"), SLICE("plain")));
    assert_true(mime_header_contains(header, any, SLICE("ann <ann@")));
    assert_true(mime_header_contains(header, any,
                                     SLICE("\xc3\xbc\xc3\x9f"
                                           "e an")));
    assert_false(mime_header_contains(header, any, SLICE("absent")));
}

static bool body_contains(const char *message, const char *needle)
{
    return mime_body_contains(mime_parse(arena, slice_str(message)), slice_str(needle));
}

static void test_search_in_bodies(void **state)
{
    (void)state;
    assert_true(body_contains("Subject: x\r\n\r\nHello World\r\n", "hello w"));
    assert_false(body_contains("Subject: x\r\n\r\nHello\r\n", "subject"));
    assert_true(body_contains("Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8g\r\nV29ybGQ=\r\n", "hello world"));
    assert_false(body_contains("Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8=\r\n", "SGVs"));
    assert_true(
        body_contains("Content-Transfer-Encoding: quoted-printable\r\n\r\nhel=\r\nlo=20world\r\n", "Hello World"));
    assert_true(body_contains("Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdf"
                              "e\r\n",
                              "gr\xc3\xbc\xc3\x9f"
                              "e"));
    assert_true(body_contains("Content-Type: text/plain; charset=utf-8\r\n\r\nGR\xc3\x9c\xc3\x9f"
                              "E\r\n",
                              "gr\xc3\xbc\xc3\x9f"
                              "e"));
    assert_true(
        body_contains("Content-Type: text/plain\r\n\r\n\xff Gr\xc3\xbc\r\n", "gR\xc3\xbc")); /* no UTF-8: as it is */
    assert_false(body_contains("Content-Type: text/plain\r\n\r\n\xff Gr\xc3\x9c\r\n", "gr\xc3\xbc"));
    assert_true(body_contains("Content-Type: text/plain; charset=no-such\r\n\r\nabc\r\n", "abc"));
    assert_false(body_contains("Content-Type: image/png\r\n\r\nabc\r\n", "abc"));
    assert_true(
        body_contains("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\nabc\r\n"
                      "--b\r\nContent-Type: message/rfc822\r\n\r\n\r\nneedle\r\n--b--\r\n",
                      "NEEDLE"));
    assert_true(
        body_contains("Content-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?wi?=\r\n =?utf-8?q?thin?=\r\n\r\nx\r\n",
                      "within")); /* the header of a message in it is its body's */
    assert_false(body_contains("Content-Transfer-Encoding: base64\r\n\r\n****\xff", "x"));
    assert_true(body_contains("\r\n", ""));
    assert_true(mime_text_contains(SLICE("Some\0Text"), SLICE("\0t")));
    assert_false(mime_text_contains(SLICE(""), SLICE("x")));
}

/* The day as it is written, whatever its zone. */
static void test_days(void **state)
{
    static const struct {
        const char *date;
        int64_t days; /* -1: none */
    } cases[] = {{"Thu, 1 Jan 1970 00:00:00 +0000", 0},
                 {"Fri, 2 Jan 1970 23:59:59 -1200", 1},
                 {"2 Jan 1970 00:00:01 +1400", 1},
                 {"Sat, 1 Feb 2025 10:00:00 +0100 (CET)", 20120},
                 {"", -1},
                 {"yesterday", -1}};
    int64_t days;

    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        struct slice header = slice_str(arena_printf(arena, "Date: %s\r\n\r\n", cases[i].date));

        assert_int_equal(mime_date(arena, header, &days), cases[i].days >= 0);
        if (cases[i].days >= 0)
            assert_int_equal(days, cases[i].days);
    }
    assert_false(mime_date(arena, SLICE("\r\n"), &days));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_field_unfolded),
        TEST(test_fields_chosen),
        TEST(test_envelope),
        TEST(test_envelope_groups),
        TEST(test_envelope_strings),
        TEST(test_structure_of_a_text),
        TEST(test_structure_of_parts),
        TEST(test_search_in_headers),
        TEST(test_search_in_bodies),
        TEST(test_days),
        TEST(test_structure_encoding),
        TEST(test_structure_parameters),
        TEST(test_envelope_quoted_local_parts),
        TEST(test_envelope_in_utf8),
        TEST(test_authors_are_all_found),
        TEST(test_authors_in_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
