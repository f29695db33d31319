/*
 * mime: the structure of messages as ranges of their bytes: multiparts, messages in messages, boundaries that are
 * prefixes of others or never come again, empty parts, limits, and the numbers by which IMAP names parts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/mime.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define MULTI(boundary) "Content-Type: multipart/mixed; boundary=\"" boundary "\"\r\n\r\n"

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

static struct mime_part *parse(const char *text)
{
    return mime_parse(arena, slice_str(text));
}

/* "1.2": the part's body, its header with MIME, or "(none)". */
static const struct mime_part *part_at(const struct mime_part *root, const char *address)
{
    uint32_t numbers[MIME_DEPTH_MAX + 2];
    unsigned depth = 0;
    char *end;

    for (; *address; address = *end == '.' ? end + 1 : end)
        numbers[depth++] = (uint32_t)strtoul(address, &end, 10);
    return mime_find(root, numbers, depth);
}

static const char *body_at(const struct mime_part *root, const char *address)
{
    const struct mime_part *part = part_at(root, address);

    return part ? arena_slicedup(arena, part->body) : "(none)";
}

static unsigned children(const struct mime_part *part)
{
    unsigned count = 0;

    for (const struct mime_part *child = part->child; child; child = child->next)
        count++;
    return count;
}

static const char *type_of(const struct mime_part *part)
{
    return arena_printf(arena, "%.*s/%.*s", SLICE_ARG(part->type), SLICE_ARG(part->subtype));
}

/* ------------------------------------------------------------------ one part */

static void test_header_and_body_are_ranges_of_the_message(void **state)
{
    static const struct {
        const char *message;
        size_t header;
    } cases[] = {{"", 0},
                 {"\r\n", 2},
                 {"\r\nbody", 2},
                 {"\nbody", 1},
                 {"A: b", 4},
                 {"A: b\r\n", 6},
                 {"A: b\r\n\r\n", 8},
                 {"A: b\r\n\r\nbody\r\n\r\nmore", 8},
                 {"A: b\n\nbody", 6},
                 {"A: b\r\n c\r\n\r\nbody", 12},
                 {"A: b\r\n \r\nC: d\r\n\r\nbody", 17}, /* a folded line of white space ends no header */
                 {"no header at all\r\n\r\nbody", 20}};

    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        struct slice all = slice_str(cases[i].message);
        struct mime_part *part = mime_parse(arena, all);

        assert_ptr_equal(part->header.p, all.p);
        assert_int_equal(part->header.n, cases[i].header);
        assert_ptr_equal(part->body.p, all.p + cases[i].header);
        assert_int_equal(part->body.n, all.n - cases[i].header);
        assert_string_equal(type_of(part), "text/plain");
        assert_null(part->child);
    }
}

static void test_types(void **state)
{
    static const struct {
        const char *field, *type;
    } cases[] = {{"text/html; charset=utf-8", "text/html"},
                 {"TEXT/Html", "TEXT/Html"},
                 {"image/png; name=\"a b.png\"", "image/png"},
                 {"text", "text/plain"}, /* RFC 2045 5.2: what makes no sense is plain text */
                 {"", "text/plain"},
                 {"multipart/mixed", "text/plain"}, /* no boundary, no parts */
                 {"multipart/mixed; boundary=\"\"", "text/plain"},
                 {"multipart/mixed; boundary=never", "text/plain"},
                 {"application/octet-stream", "application/octet-stream"}};

    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        const struct mime_part *part =
            parse(arena_printf(arena, "Content-Type: %s\r\n\r\n--\r\n----\r\nbody\r\n", cases[i].field));

        assert_string_equal(type_of(part), cases[i].type);
        assert_false(part->multipart);
        assert_null(part->child);
        assert_string_equal(body_at(part, "1"), "--\r\n----\r\nbody\r\n"); /* and it is all there */
    }
}

/* ------------------------------------------------------------------ multiparts */

static void test_parts_of_a_multipart(void **state)
{
    const struct mime_part *root =
        parse(MULTI("b") "preamble\r\n--b\r\nContent-Type: text/html\r\n\r\none\r\n"
                         "--b  \t\r\n\r\ntwo\r\n\r\n--b--\r\nepilogue\r\n--b\r\n\r\nno part\r\n");

    (void)state;
    assert_true(root->multipart);
    assert_int_equal(children(root), 2);
    assert_string_equal(type_of(part_at(root, "1")), "text/html");
    assert_string_equal(body_at(root, "1"),
                        "one"); /* the line end before a delimiter is the delimiter's (RFC 2046 5.1.1) */
    assert_string_equal(body_at(root, "2"), "two\r\n");
    assert_string_equal(body_at(root, "3"), "(none)");
}

static void test_bare_newlines(void **state)
{
    const struct mime_part *root =
        parse("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nA: b\n\ntwo\n\n--b--\n");

    (void)state;
    assert_int_equal(children(root), 2);
    assert_string_equal(body_at(root, "1"), "one");
    assert_string_equal(body_at(root, "2"), "two\n");
}

static void test_a_multipart_that_never_ends(void **state)
{
    static const struct {
        const char *tail, *last;
        unsigned parts;
    } cases[] = {{"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n", "two\r\n", 2}, /* to the end of what holds it */
                 {"--b\r\n\r\none\r\n--b\r\n\r\ntwo", "two", 2},
                 {"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b-", "two\r\n--b-", 2},
                 {"--b\r\n\r\none\r\n--b\r\n\r\n--c--\r\n", "--c--\r\n", 2},
                 {"--b\r\n\r\none\r\n--b--", "one", 1},
                 {"--b--\r\n", "(none)", 0}};

    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        const struct mime_part *root = parse(arena_printf(arena, MULTI("b") "%s", cases[i].tail));

        assert_int_equal(children(root), cases[i].parts);
        if (cases[i].parts)
            assert_string_equal(body_at(root, arena_printf(arena, "%u", cases[i].parts)), cases[i].last);
    }
}

static void test_empty_parts(void **state)
{
    const struct mime_part *root = parse(MULTI("b") "--b\r\n--b\r\n\r\n--b\r\n\r\n\r\n--b\r\nA: b\r\n--b--\r\n");

    (void)state;
    assert_int_equal(children(root), 4);
    for (unsigned i = 1; i <= 4; i++) {
        assert_string_equal(body_at(root, arena_printf(arena, "%u", i)), "");
        assert_string_equal(type_of(part_at(root, arena_printf(arena, "%u", i))), "text/plain");
    }
    assert_int_equal(part_at(root, "1")->header.n, 0);
    assert_true(slice_equal(part_at(root, "4")->header, SLICE("A: b"))); /* the line end is the delimiter's */
}

/* A boundary that begins as another one ends neither. */
static void test_boundaries_that_are_prefixes(void **state)
{
    const struct mime_part *root = parse(MULTI("b") "--b\r\n" MULTI(
        "bb") "--bb\r\n\r\ninner one\r\n--bbb\r\nno delimiter\r\n"
              "--bb\r\n\r\ninner two\r\n--bb--\r\n--b x\r\n--b\r\n\r\nouter two\r\n--b--\r\n");

    (void)state;
    assert_int_equal(children(root), 2);
    assert_int_equal(children(part_at(root, "1")), 2);
    assert_string_equal(body_at(root, "1.1"), "inner one\r\n--bbb\r\nno delimiter");
    assert_string_equal(body_at(root, "1.2"), "inner two");
    assert_string_equal(body_at(root, "2"), "outer two");

    root = parse(MULTI("bb") "--bb\r\n" MULTI("b") "--b\r\n\r\none\r\n--b--\r\n--bb\r\n\r\ntwo\r\n--bb--\r\n");
    assert_int_equal(children(root), 2);
    assert_string_equal(body_at(root, "1.1"), "one");
    assert_string_equal(body_at(root, "2"), "two");

    root = parse(MULTI("b--") "--b--\r\n\r\none\r\n--b----\r\n"); /* it may end in what looks like an end */
    assert_int_equal(children(root), 1);
    assert_string_equal(body_at(root, "1"), "one");
}

static void test_delimiters_stand_at_the_start_of_a_line(void **state)
{
    const struct mime_part *root = parse(MULTI("b") "--b\r\n\r\n --b\r\nx--b\r\n-b\r\n--B\r\n--b.\r\n\r\n--b--\r\n");

    (void)state;
    assert_int_equal(children(root), 1); /* capitals matter (RFC 2046 5.1.1) */
    assert_string_equal(body_at(root, "1"), " --b\r\nx--b\r\n-b\r\n--B\r\n--b.\r\n");
}

/* An inner multipart that never closes ends where its container says. */
static void test_the_outer_delimiter_ends_all_within(void **state)
{
    const struct mime_part *root = parse(
        MULTI("o") "--o\r\n" MULTI("i") "--i\r\n\r\none\r\n--i\r\n\r\ntwo\r\n--o\r\n\r\nafter\r\n--i--\r\n--o--\r\n");

    (void)state;
    assert_int_equal(children(root), 2);
    assert_int_equal(children(part_at(root, "1")), 2);
    assert_string_equal(body_at(root, "1.2"), "two");
    assert_string_equal(body_at(root, "2"), "after\r\n--i--");
}

static void test_parts_of_a_digest_are_messages(void **state)
{
    const struct mime_part *root =
        parse("Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: one\r\n\r\nbody\r\n"
              "--d\r\nContent-Type: text/plain\r\n\r\ntext\r\n--d--\r\n");

    (void)state;
    assert_string_equal(type_of(part_at(root, "1")), "message/rfc822"); /* RFC 2046 5.1.5 */
    assert_true(part_at(root, "1")->message);
    assert_string_equal(body_at(root, "1.1"), "body");
    assert_string_equal(type_of(part_at(root, "2")), "text/plain");
}

/* ------------------------------------------------------------------ addressing */

/* The example of RFC 3501 6.4.5. */
static void test_the_numbers_of_rfc_3501(void **state)
{
    const struct mime_part *root = parse(
        MULTI("r") "--r\r\nContent-Type: text/plain\r\n\r\n1\r\n"
                   "--r\r\nContent-Type: application/octet-stream\r\n\r\n2\r\n"
                   "--r\r\nContent-Type: message/rfc822\r\n\r\nSubject: 3\r\n" MULTI(
                       "t") "--t\r\n\r\n3.1\r\n"
                            "--t\r\nContent-Type: application/octet-stream\r\n\r\n3.2\r\n--t--\r\n"
                            "--r\r\n" MULTI(
                                "f") "--f\r\nContent-Type: image/gif\r\n\r\n4.1\r\n"
                                     "--f\r\nContent-Type: message/rfc822\r\n\r\nSubject: 4.2\r\n" MULTI(
                                         "n") "--n\r\n\r\n4.2.1\r\n"
                                              "--n\r\nContent-Type: multipart/alternative; "
                                              "boundary=a\r\n\r\n--a\r\n\r\n4.2.2.1\r\n"
                                              "--a\r\nContent-Type: "
                                              "text/richtext\r\n\r\n4.2.2.2\r\n--a--\r\n--n--\r\n--f--\r\n--r--\r\n");
    static const char *const leaves[] = {"1", "2", "3.1", "3.2", "4.1", "4.2.1", "4.2.2.1", "4.2.2.2"};
    static const char *const none[] = {"5",     "1.1",     "2.1",   "3.3",       "3.1.1",      "4.3",
                                       "4.2.3", "4.2.2.3", "4.1.1", "4.2.2.2.1", "4294967295", "3.4294967295"};

    (void)state;
    for (unsigned i = 0; i < COUNT(leaves); i++)
        assert_string_equal(body_at(root, leaves[i]), leaves[i]);
    for (unsigned i = 0; i < COUNT(none); i++)
        assert_null(part_at(root, none[i]));
    assert_ptr_equal(part_at(root, ""), root);
    assert_string_equal(type_of(part_at(root, "3")), "message/rfc822");
    assert_true(slice_equal(mime_field(arena, part_at(root, "3")->child->header, "subject"), SLICE("3")));
    assert_string_equal(type_of(part_at(root, "4.2.2")), "multipart/alternative");
}

static void test_a_message_without_parts_has_one(void **state)
{
    const struct mime_part *root = parse("Subject: x\r\n\r\nbody");

    (void)state;
    assert_string_equal(body_at(root, "1"), "body");
    assert_null(part_at(root, "2"));
    assert_null(part_at(root, "1.1"));

    root = parse(MULTI("b") "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner\r\n--b--\r\n");
    assert_string_equal(body_at(root, "1"), "Subject: in\r\n\r\ninner");
    assert_string_equal(body_at(root, "1.1"), "inner");
    assert_null(part_at(root, "1.2"));
    assert_null(part_at(root, "1.1.1"));
}

/* ------------------------------------------------------------------ limits */

static unsigned depth_of(const struct mime_part *part)
{
    unsigned deepest = 0;

    for (const struct mime_part *child = part->child; child; child = child->next) {
        unsigned depth = depth_of(child) + 1;

        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

static unsigned parts_of(const struct mime_part *part)
{
    unsigned count = 1;

    for (const struct mime_part *child = part->child; child; child = child->next)
        count += parts_of(child);
    return count;
}

static struct slice repeated(const char *text, unsigned times)
{
    size_t n = strlen(text);
    char *out = arena_alloc(arena, n * times + 1);

    for (unsigned i = 0; i < times; i++)
        memcpy(out + i * n, text, n);
    return slice_of(out, n * times);
}

/* Level for level other boundaries, so that each multipart really holds the next. */
static struct slice nested_multiparts(unsigned levels)
{
    char *text = arena_strdup(arena, "");

    for (unsigned i = 0; i < levels; i++)
        text = arena_printf(arena, "%sContent-Type: multipart/mixed; boundary=b%ub\r\n\r\n--b%ub\r\n", text, i, i);
    return slice_str(text);
}

static void test_nesting_ends(void **state)
{
    const struct slice nests[] = {repeated("Content-Type: message/rfc822\r\n\r\n", 5000), nested_multiparts(60)};

    (void)state;
    for (unsigned i = 0; i < COUNT(nests); i++) {
        const struct mime_part *root = mime_parse(arena, nests[i]), *last = root;

        assert_int_equal(depth_of(root), MIME_DEPTH_MAX);
        while (last->child)
            last = last->child;
        assert_string_equal(type_of(last), "text/plain"); /* what is beyond is a leaf, with all its bytes */
        assert_false(last->multipart || last->message);
        assert_ptr_equal(last->body.p + last->body.n, nests[i].p + nests[i].n);
    }
    /* One and the same boundary at each level: the outermost takes all. */
    assert_int_equal(depth_of(mime_parse(arena, repeated(MULTI("b") "--b\r\n", 5000))), 1);
}

static void test_parts_are_limited(void **state)
{
    struct slice many = repeated("--b\r\n\r\nx\r\n", 5000);
    const struct mime_part *root = parse(arena_printf(arena, MULTI("b") "%.*s--b--\r\n", SLICE_ARG(many))), *last;
    const struct mime_part *nested;

    (void)state;
    assert_in_range(parts_of(root), MIME_PARTS_MAX - 1, MIME_PARTS_MAX + 1);
    for (last = root->child; last->next; last = last->next)
        assert_true(slice_equal(last->body, SLICE("x")));
    assert_ptr_equal(last->body.p + last->body.n, root->body.p + root->body.n); /* the rest is the last one's */

    many = repeated("--b\r\nContent-Type: message/rfc822\r\n\r\n\r\nx\r\n", 5000);
    nested = parse(arena_printf(arena, MULTI("b") "%.*s--b--\r\n", SLICE_ARG(many)));
    assert_in_range(parts_of(nested), MIME_PARTS_MAX - 1, MIME_PARTS_MAX + 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_header_and_body_are_ranges_of_the_message),
        TEST(test_types),
        TEST(test_parts_of_a_multipart),
        TEST(test_bare_newlines),
        TEST(test_a_multipart_that_never_ends),
        TEST(test_empty_parts),
        TEST(test_boundaries_that_are_prefixes),
        TEST(test_delimiters_stand_at_the_start_of_a_line),
        TEST(test_the_outer_delimiter_ends_all_within),
        TEST(test_parts_of_a_digest_are_messages),
        TEST(test_the_numbers_of_rfc_3501),
        TEST(test_a_message_without_parts_has_one),
        TEST(test_nesting_ends),
        TEST(test_parts_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
