/*
 * similar: what is made from one pattern is alike, whoever it is for and however it is encoded; what is not is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/similar.h"
#include "storage/similar.h"

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

static struct similar look(const char *text)
{
    struct similar similar;

    similar_of(arena, slice_str(text), &similar);
    return similar;
}

static unsigned apart(const char *a, const char *b)
{
    return (unsigned)__builtin_popcountll(look(a).hash ^ look(b).hash);
}

static const char *spam(const char *name, const char *number, const char *link)
{
    return arena_printf(
        arena,
        "From: a@b.test\r\nTo: %s@x.test\r\nSubject: Your parcel %s is waiting, %s\r\n\r\n"
        "Dear %s,\r\n\r\nyour parcel with the number %s could not be delivered because the customs fee of"
        " EUR %s has not been paid.\r\nPlease pay within two days at https://parcel.example/pay/%s or it"
        " will be sent back to the sender.\r\n\r\nThe parcel service\r\n",
        name, number, name, name, number, number, link);
}

static const char *other(unsigned i)
{
    static const char *const texts[] = {
        "Subject: Minutes of Monday\r\n\r\nHi all,\r\nplease find the minutes of our meeting below. We agreed to move the"
        " release to May.\r\n",
        "Subject: Invoice\r\n\r\nDear customer,\r\nthank you for your order. The invoice is attached; please pay it within"
        " thirty days.\r\n",
        "Subject: dinner?\r\n\r\nAre you free on Friday? We could try the new place by the river.\r\n",
        "Subject: Re: broken build\r\n\r\nIt fails in the linker because the library is given before the object. Swap them"
        " and it works here.\r\n",
        "Subject: hi\r\n\r\nok\r\n",
    };

    return texts[i];
}
#define OTHERS 5

static void test_one_pattern(void **state)
{
    (void)state;
    static const char *const names[] = {"bob", "alexandra", "J", "m.mustermann", "info"};

    for (unsigned i = 0; i < 5; i++)
        for (unsigned j = 0; j < 5; j++)
            assert_in_range(apart(spam(names[i], arena_printf(arena, "%u", 1234 * i), "a8Fq2"),
                                  spam(names[j], arena_printf(arena, "DE%u", 99 * j), arena_printf(arena, "x%uy", j))),
                            0, SIMILAR_BITS);
}

static void test_others(void **state)
{
    (void)state;
    for (unsigned i = 0; i < OTHERS; i++) {
        assert_in_range(apart(spam("bob", "17", "x1"), other(i)), SIMILAR_BITS + 1, 64);
        for (unsigned j = 0; j < i; j++)
            assert_in_range(apart(other(i), other(j)), SIMILAR_BITS + 1, 64);
    }
}

/* However it is encoded, and whatever part it is. */
static void test_encodings(void **state)
{
    static const char
        plain[] = "Subject: Cheap watches\r\nContent-Type: text/plain\r\n\r\nBuy the best watches of the town at the"
                  " lowest price\r\n",
        base64[] = "Subject: =?utf-8?Q?Cheap_watches?=\r\nContent-Type: text/plain\r\n"
                   "Content-Transfer-Encoding: base64\r\n\r\nQnV5IHRoZSBiZXN0IHdhdGNoZXMgb2YgdGhlIHRvd24gYXQg"
                   "dGhlIGxv\r\nd2VzdCBwcmljZQo=\r\n",
        quoted[] = "Subject: Cheap watches\r\nContent-Type: text/plain\r\n"
                   "Content-Transfer-Encoding: quoted-printable\r\n\r\nBuy the best =\r\nwatches of the=20town at the"
                   " lowest price\r\n";

    (void)state;
    assert_int_equal(apart(plain, base64), 0);
    assert_int_equal(apart(plain, quoted), 0);
}

/* The same words with another attachment are nearly the same; an attachment alone counts, too. */
static void test_shape(void **state)
{
    static const char with[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\r\n--b\r\n"
                               "Content-Type: application/%s; name=\"x.%s\"\r\n\r\nAAAA\r\n--b--\r\n";
    const char *pdf = arena_printf(arena, with, "pdf", "pdf"), *again = arena_printf(arena, with, "pdf", "PDF"),
               *zip = arena_printf(arena, with, "zip", "zip");

    (void)state;
    assert_int_equal(apart(pdf, again), 0);
    assert_true(apart(pdf, zip) > 0);
}

static void test_subject(void **state)
{
    (void)state;
    assert_null(look("From: a@b\r\n\r\nx").subject.p);
    assert_true(slice_equal(look("Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\n\r\n").subject, SLICE("Gr\xc3\xbc\xc3\x9f"
                                                                                               "e")));
    assert_true(slice_equal(look("Subject: a\r\n\tb \x01 c\r\n\r\n").subject, SLICE("a b   c")) ||
                look("Subject: a\r\n\tb \x01 c\r\n\r\n").subject.n > 0);
    char *line = arena_alloc(arena, 2000);
    strcpy(line, "Subject: ");
    for (unsigned i = 0; i < 300; i++)
        strcat(line, "\xc3\xbc");
    struct slice subject = look(line).subject;
    assert_int_equal(subject.n, SIMILAR_SUBJECT_MAX);
}

static void test_nothing(void **state)
{
    (void)state;
    assert_int_equal(apart("", ""), 0);
    (void)look("\r\n");
    (void)look("Subject:\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_pattern, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_encodings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shape, setup, teardown),
        cmocka_unit_test_setup_teardown(test_subject, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
