/* imap_parse: tokens, sets, flags, dates, names, FETCH and SEARCH (RFC 3501 section 9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "protocols/imap_parse.h"
#include "storage/mailbox.h"

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

static struct imap_cursor over(const char *text)
{
    return (struct imap_cursor){text, text + strlen(text), arena};
}

static void test_strings(void **state)
{
    static const struct {
        const char *in, *out; /* out NULL: refused */
    } cases[] = {
        {"abc", "abc"},     {"a]b", "a]b"},
        {"\"a b\"", "a b"}, {"\"a\\\"b\\\\\"", "a\"b\\"},
        {"\"\"", ""},       {"{3}\r\na\"b", "a\"b"},
        {"{0}\r\n", ""},    {"{3+}\r\nxyz", "xyz"},
        {"\"a", NULL},      {"\"a\\b\"", NULL},
        {"\"a\nb\"", NULL}, {"{4}\r\nabc", NULL},
        {"{3}\nabc", NULL}, {"{99999999999}\r\n", NULL},
        {"(", NULL},        {"", NULL},
        {"%", NULL},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct imap_cursor c = over(cases[i].in);
        struct slice out;
        bool taken = imap_take_astring(&c, &out) && imap_at_end(&c);

        assert_int_equal(taken, cases[i].out != NULL);
        if (taken)
            assert_true(slice_equal(out, slice_str(cases[i].out)));
    }
}

static void test_sets(void **state)
{
    static const char *const bad[] = {"", "0", "1:", ":2", "1,,2", "1:2:3", "4294967296", "a", "1:0"};
    struct imap_cursor c = over("1:3,7,9:*");
    struct imap_set set;

    (void)state;
    assert_true(imap_take_set(&c, &set) && imap_at_end(&c));
    assert_int_equal(set.count, 3);
    imap_set_resolve(&set, 20);
    assert_true(imap_set_contains(&set, 1) && imap_set_contains(&set, 3) && imap_set_contains(&set, 7) &&
                imap_set_contains(&set, 9) && imap_set_contains(&set, 20));
    assert_false(imap_set_contains(&set, 4) || imap_set_contains(&set, 8) || imap_set_contains(&set, 21));
    c = over("*:4");
    assert_true(imap_take_set(&c, &set));
    imap_set_resolve(&set, 9);
    assert_true(imap_set_contains(&set, 4) && imap_set_contains(&set, 9) && !imap_set_contains(&set, 3));
    c = over("9:7,1,5:6,2:3,10:*,8:12,4294967294");
    assert_true(imap_take_set(&c, &set));
    imap_set_resolve(&set, 11);
    assert_int_equal(set.count, 3); /* 1:3, 5:12, 4294967294 */
    assert_true(imap_set_contains(&set, 12) && imap_set_contains(&set, 4294967294));
    assert_false(imap_set_contains(&set, 4) || imap_set_contains(&set, 13) || imap_set_contains(&set, 0));
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        c = over(bad[i]);
        assert_false(imap_take_set(&c, &set) && imap_at_end(&c));
    }
}

static void test_flags(void **state)
{
    struct imap_cursor c = over("(\\seen \\Deleted work Work \\Recent)");
    struct imap_flags flags;

    (void)state;
    assert_true(imap_take_flag_list(&c, &flags) && imap_at_end(&c));
    assert_int_equal(flags.bits, MAILBOX_SEEN | MAILBOX_DELETED);
    assert_int_equal(flags.keyword_count, 1);
    c = over("()");
    assert_true(imap_take_flag_list(&c, &flags) && imap_at_end(&c));
    c = over("\\Draft x");
    assert_true(imap_take_flags_of_store(&c, &flags) && imap_at_end(&c));
    c = over("(\\Unheard)");
    assert_false(imap_take_flag_list(&c, &flags));
    c = over("(a");
    assert_false(imap_take_flag_list(&c, &flags));
}

static void test_dates(void **state)
{
    static const char *const bad[] = {"31-Feb-2026", "0-Jan-2026", "1-Foo-2026",
                                      "1-Jan-26",    "1 Jan 2026", "\"1-Jan-2026"};
    struct imap_cursor c = over("\"23-Nov-2026 20:25:14 +0100\"");
    int64_t value;

    (void)state;
    assert_true(imap_take_date_time(&c, &value) && imap_at_end(&c));
    assert_int_equal(value, INT64_C(1795461914000));
    c = over("\" 1-Jan-1970 00:00:00 +0000\"");
    assert_true(imap_take_date_time(&c, &value));
    assert_int_equal(value, 0);
    c = over("\"23-Nov-2026 24:00:00 +0100\"");
    assert_false(imap_take_date_time(&c, &value));
    c = over("1-Mar-2000");
    assert_true(imap_take_date(&c, &value) && imap_at_end(&c));
    assert_int_equal(value, 11017);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        c = over(bad[i]);
        assert_false(imap_take_date(&c, &value) && imap_at_end(&c));
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *wire, *name; /* name NULL: not valid, kept as it is */
    } cases[] = {
        {"INBOX", "INBOX"},
        {"a&-b", "a&b"},
        {"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
         "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
        {"&2D3eAA-", "\xf0\x9f\x98\x80"},
        {"&", NULL},
        {"&APw", NULL},
        {"&AGE-", NULL}, /* ASCII in base64 */
        {"&2D0-", NULL}, /* half a pair */
        {"\xc3\xbc", NULL},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice out;
        bool ok = imap_utf7_decode(arena, slice_str(cases[i].wire), &out);

        assert_int_equal(ok, cases[i].name != NULL);
        if (ok) {
            assert_true(slice_equal(out, slice_str(cases[i].name)));
            assert_true(slice_equal(imap_utf7_encode(arena, out), slice_str(cases[i].wire)));
        }
    }
}

static void test_names_as_arguments(void **state)
{
    static const struct {
        const char *wire, *name; /* NULL: BAD */
    } cases[] = {
        {"inbox", "INBOX"}, {"\"iNbOx/x\"", "INBOX/x"}, {"inboxes", "inboxes"}, {"a/inbox", "a/inbox"},
        {"a&b", "a&b"},     {"{2+}\r\na&", "a&"},       {"\"\xc3\xbc\"", NULL}, {"{1}\r\n\xff", NULL},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct imap_cursor c = over(cases[i].wire);
        struct slice out;
        bool ok = imap_take_mailbox(&c, &out);

        assert_int_equal(ok, cases[i].name != NULL);
        if (ok)
            assert_true(imap_at_end(&c) && slice_equal(out, slice_str(cases[i].name)));
    }
}

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } cases[] = {
        {"*", "a/b", true},
        {"%", "a", true},
        {"%", "a/b", false},
        {"a/%", "a/b", true},
        {"a/%", "a/b/c", false},
        {"a*c", "a/b/c", true},
        {"%/%", "a/b", true},
        {"%/c", "a/b/c", false},
        {"*/c", "a/b/c", true},
        {"", "", true},
        {"", "a", false},
        {"a", "A", false},
        {"*%*%x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
        {"%b%", "abc", true},
        {"*b", "ab/ab", true},
        {"inb%", "INBOX", true},
        {"inbox/%", "INBOX/a", true},
        {"INBOX/A", "INBOX/a", false},
        {"inboxes", "INBOXES", false},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(imap_pattern_matches(slice_str(cases[i].pattern), slice_str(cases[i].name)), cases[i].matches);
}

static void test_fetch(void **state)
{
    static const char *const bad[] = {"BODY[",         "BODY[1.]",
                                      "BODY[MIME]",    "BODY[HEADER.FIELDS]",
                                      "BODY[0]",       "BODY[TEXT]<0.0>",
                                      "BODY[TEXT]<1>", "(FLAGS",
                                      "FLAG",          "()",
                                      "BODY.PEEK"};
    struct imap_cursor c = over("(FLAGS BODY.PEEK[1.2.HEADER.FIELDS (To \"X y\")]<5.10> RFC822.SIZE BODY)");
    struct imap_fetch fetch;

    (void)state;
    assert_true(imap_take_fetch(&c, &fetch) && imap_at_end(&c));
    assert_int_equal(fetch.items, IMAP_FETCH_FLAGS | IMAP_FETCH_SIZE | IMAP_FETCH_BODY);
    assert_int_equal(fetch.sections->kind, IMAP_SECTION_FIELDS);
    assert_int_equal(fetch.sections->part_depth, 2);
    assert_int_equal(fetch.sections->field_count, 2);
    assert_true(fetch.sections->peek && fetch.sections->partial && !fetch.sets_seen);
    assert_int_equal(fetch.sections->length, 10);
    assert_string_equal(fetch.sections->label, "BODY[1.2.HEADER.FIELDS (To \"X y\")]");
    c = over("BODY[HEADER.FIELDS ({3+}\r\na\"b {1}\r\nc)]");
    assert_true(imap_take_fetch(&c, &fetch) && imap_at_end(&c));
    assert_string_equal(fetch.sections->label, "BODY[HEADER.FIELDS (\"a\\\"b\" \"c\")]"); /* no literal goes back */
    c = over("BODY[HEADER.FIELDS ({2}\r\n\r\n)]");
    assert_false(imap_take_fetch(&c, &fetch));
    c = over("full");
    assert_true(imap_take_fetch(&c, &fetch) && imap_at_end(&c));
    c = over("RFC822");
    assert_true(imap_take_fetch(&c, &fetch) && imap_at_end(&c));
    assert_true(fetch.sets_seen);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        c = over(bad[i]);
        assert_false(imap_take_fetch(&c, &fetch) && imap_at_end(&c));
    }
}

static void test_search(void **state)
{
    static const char *const good[] = {"ALL",        "1:*",           "OR SEEN FLAGGED", "NOT (DELETED SEEN)",
                                       "FROM x",     "HEADER a \"\"", "UID 1,2",         "SINCE 1-Jan-2020 LARGER 5",
                                       "KEYWORD $x", "((((ALL))))"};
    static const char *const bad[] = {"",     "FOO",      "OR SEEN",           "NOT",       "FROM", "(ALL",
                                      "ALL)", "LARGER x", "SINCE 99-Jan-2020", "ALL  SEEN", "UID"};
    char deep[300];
    struct imap_cursor c;
    struct imap_key *key;
    struct slice charset;

    (void)state;
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        c = over(good[i]);
        assert_true(imap_take_search(&c, &key, &charset));
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        c = over(bad[i]);
        assert_false(imap_take_search(&c, &key, &charset));
    }
    c = over("CHARSET UTF-8 TEXT {2}\r\n\xc3\xa9");
    assert_true(imap_take_search(&c, &key, &charset));
    assert_true(slice_equal(charset, SLICE("UTF-8")));
    assert_true(key->needs_content);
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    c = over(deep);
    assert_false(imap_take_search(&c, &key, &charset));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_strings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_as_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_search, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
