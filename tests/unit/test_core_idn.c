/*
 * idn: UTF-8 that is and that is not, domains both ways, names that are compared, and what is written in ASCII.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/idn.h"

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

static void assert_slice(struct slice got, const char *expected, const char *given)
{
    if (!slice_equal(got, slice_str(expected)))
        fail_msg("%s became %.*s, not %s", given, SLICE_ARG(got), expected);
}

static void test_utf8(void **state)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "sch\xc3\xb6n"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc3",
                                      "\xc3(",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xe2\x82",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xfe",
                                      "\xff",
                                      "a\xe2\x82\xac\xac"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!idn_is_utf8(slice_str(good[i])))
            fail_msg("good %zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (idn_is_utf8(slice_str(bad[i])))
            fail_msg("bad %zu", i);
    assert_true(idn_is_utf8(slice_of("\0", 1)));
    assert_true(idn_is_ascii(SLICE("\x7f")) && !idn_is_ascii(SLICE("a\x80")));
}

static void test_graphic(void **state)
{
    (void)state;
    assert_true(idn_is_graphic(SLICE("j\xc3\xbcrgen")));
    assert_true(
        idn_is_graphic(SLICE("\xd9\x86\xd8\xa7\xd9\x85\xd9\x87\xe2\x80\x8c\xd8\xa7\xdb\x8c"))); /* with a ZWNJ */
    assert_false(idn_is_graphic(SLICE("a\xc2\xa0z")));                                          /* no-break space */
    assert_false(idn_is_graphic(SLICE("a\xc2\x85z")));                                          /* a C1 control */
    assert_false(idn_is_graphic(SLICE("a\xe2\x80\xaez"))); /* right-to-left override */
    assert_false(idn_is_graphic(SLICE("a\xe2\x80\xa8z"))); /* line separator */
    assert_false(idn_is_graphic(SLICE("a\xffz")));
}

static void test_domain(void **state)
{
    static const struct {
        const char *given, *ascii, *unicode; /* ascii NULL: none */
    } cases[] = {
        {"Example.TEST", "example.test", "example.test"},
        {"b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.example",
         "b\xc3\xbc"
         "cher.example"},
        {"B\xc3\x9c"
         "CHER.Example",
         "xn--bcher-kva.example",
         "b\xc3\xbc"
         "cher.example"},
        {"bu\xcc\x88"
         "cher.example",
         "xn--bcher-kva.example",
         "b\xc3\xbc"
         "cher.example"}, /* not composed */
        {"XN--bcher-KVA.example", "xn--bcher-kva.example",
         "b\xc3\xbc"
         "cher.example"},
        {"fa\xc3\x9f.de", "xn--fa-hia.de", "fa\xc3\x9f.de"},
        {"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xd0\xb8\xd1\x81\xd0\xbf\xd1\x8b\xd1\x82\xd0\xb0\xd0\xbd\xd0\xb8\xd0\xb5",
         "xn--e1afmkfd.xn--80akhbyknj4f",
         "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xd0\xb8\xd1\x81\xd0\xbf\xd1\x8b\xd1\x82\xd0\xb0\xd0\xbd\xd0\xb8\xd0\xb5"},
        {"_dmarc.b\xc3\xbc"
         "cher.example",
         "_dmarc.xn--bcher-kva.example",
         "_dmarc.b\xc3\xbc"
         "cher.example"},
        {"xn--a.test", "xn--a.test", "xn--a.test"}, /* a name in ASCII, whatever it means */
        {"", "", ""},
        {"b\xc3\xbc"
         "cher.example.",
         "xn--bcher-kva.example.",
         "b\xc3\xbc"
         "cher.example."},
        {"b\xfc"
         "cher.example",
         NULL, NULL}, /* Latin-1 */
        {"a\xe3\x80\x82"
         "b.test",
         NULL, NULL}, /* another dot */
        {"\xe2\x80\xae"
         "a.test",
         NULL, NULL}, /* right-to-left override */
        {"-\xc3\xbc.test", NULL, NULL},
        {"\xed\xa0\x80.test", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice out;

        if (idn_domain(arena, slice_str(cases[i].given), &out) != (cases[i].ascii != NULL))
            fail_msg("%s: %.*s", cases[i].given, cases[i].ascii ? 0 : (int)out.n, out.p);
        if (!cases[i].ascii)
            continue;
        assert_slice(out, cases[i].ascii, cases[i].given);
        assert_slice(idn_domain_unicode(arena, out), cases[i].unicode, cases[i].given);
    }
    assert_false(idn_domain(arena, slice_of("b\xc3\xbc\0x.test", 9), &(struct slice){0}));
}

static void test_long_domains(void **state)
{
    char text[600] = "";
    struct slice out;

    (void)state;
    for (unsigned i = 0; i < 63; i++)
        strcat(text, "\xc3\xa4"); /* 63 characters, "xn--" and more than that in ASCII */
    assert_false(idn_domain(arena, slice_str(text), &out));
    *text = '\0';
    for (unsigned i = 0; i < 60; i++)
        strcat(text, "\xc3\xa4.");
    assert_false(idn_domain(arena, slice_str(text), &out)); /* 60 times "xn--4ca." is too much */
}

static void test_address(void **state)
{
    (void)state;
    assert_slice(idn_address(arena, SLICE("J\xc3\xbcrgen@B\xc3\xbc"
                                          "cher.example")),
                 "J\xc3\xbcrgen@xn--bcher-kva.example", "address");
    assert_slice(idn_address(arena, SLICE("\"a@b\"@Example.test")), "\"a@b\"@example.test", "quoted");
    assert_slice(idn_address(arena, SLICE("postmaster")), "postmaster", "no domain");
    assert_slice(idn_address(arena, SLICE("a@b\xff.test")), "a@b\xff.test", "no UTF-8");
    assert_slice(idn_address_unicode(arena, SLICE("a@xn--bcher-kva.example")),
                 "a@b\xc3\xbc"
                 "cher.example",
                 "shown");
    assert_slice(idn_address_unicode(arena, SLICE("xn--a@b.test")), "xn--a@b.test", "local part");
    assert_slice(idn_address_unicode(arena, SLICE("a@[192.0.2.1]")), "a@[192.0.2.1]", "literal");
}

static void test_fold(void **state)
{
    (void)state;
    assert_slice(idn_fold(arena, SLICE("J\xc3\x9cRGEN")), "j\xc3\xbcrgen", "capitals");
    assert_slice(idn_fold(arena, SLICE("ju\xcc\x88rgen")), "j\xc3\xbcrgen", "not composed");
    assert_slice(idn_fold(arena, SLICE("stra\xc3\x9f"
                                       "e")),
                 "stra\xc3\x9f"
                 "e",
                 "another name than strasse");
    assert_slice(idn_fold(arena, SLICE("ABC")), "abc", "ASCII");
    assert_slice(idn_fold(arena, SLICE("A\xff")), "a\xff", "no UTF-8");
}

static void test_escape(void **state)
{
    struct slice out;

    (void)state;
    assert_slice(idn_escape(arena, SLICE("a\xce\xb4\xe2\x82\xac\xf0\x9f\x98\x80z")), "a\\x{3B4}\\x{20AC}\\x{1F600}z",
                 "escaped");
    assert_slice(idn_escape(arena, SLICE("\xff\xc3\xbc")), "?\\x{FC}", "no UTF-8");
    assert_slice(idn_escape(arena, SLICE("a\\b")), "a\\b", "ASCII");
    assert_true(idn_unescape(arena, SLICE("a\\x{3B4}\\x{20AC}\\x{1F600}z\\x{2B}"), true, &out));
    assert_slice(out, "a\xce\xb4\xe2\x82\xac\xf0\x9f\x98\x80z+", "unescaped");
    assert_true(idn_unescape(arena, SLICE("\\x{3b4}\\x{2B}"), false, &out));
    assert_slice(out, "\xce\xb4\\x{2B}", "specials stay");
    static const char *const bad[] = {"\\",          "\\x",          "\\x{}",   "\\x{3}", "\\x{3B4", "\\x{D800}",
                                      "\\x{110000}", "\\x{1234567}", "\\x{00}", "\\n",    "\\x{3G}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (idn_unescape(arena, slice_str(bad[i]), true, &out))
            fail_msg("%s was taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),         cmocka_unit_test(test_graphic), cmocka_unit_test(test_domain),
        cmocka_unit_test(test_long_domains), cmocka_unit_test(test_address), cmocka_unit_test(test_fold),
        cmocka_unit_test(test_escape),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
