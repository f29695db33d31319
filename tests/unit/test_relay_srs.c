/* SRS: what is written and read back; what time, other keys, other domains and changed letters do to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/srs.h"

#define DAY (24 * 60 * 60 * INT64_C(1000))
#define NOW (20000 * DAY + 12345)

static const struct slice keys[] = {{"the first key of thirty-two octets", 32},
                                    {"another key, that was used before!", 32}};
static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(SIZE_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct slice written(const char *sender, const char *domain, int64_t now_ms)
{
    struct slice out = {NULL, 0};

    assert_int_equal(srs_write(arena, keys[0], slice_str(sender), slice_str(domain), now_ms, &out), SRS_WRITTEN);
    assert_true((const char *)memrchr(out.p, '@', out.n) - out.p <= SRS_LOCAL_MAX);
    return out;
}

static enum srs_read read_at(struct slice address, int64_t now_ms, const char **original)
{
    struct slice out = {NULL, 0};
    enum srs_read status = srs_read(arena, keys, 2, address, now_ms, 21, &out);

    *original = status == SRS_READ ? arena_slicedup(arena, out) : NULL;
    return status;
}

static void test_there_and_back(void **state)
{
    static const struct {
        const char *sender, *back; /* NULL: the same */
    } cases[] = {
        {"joe@outside.test", NULL},
        {"Joe.Public+tag=x@OUTSIDE.test", "Joe.Public+tag=x@outside.test"},
        {"a=b=c@x.test", NULL},
        {"SRS0@x.test", NULL}, /* a name like any other */
        {"srs0x@x.test", NULL},
        {"SRS1=what@x.test", NULL}, /* begins like one, and is none */
        {"SRS1=hash=nodots=x@x.test", NULL},
        {"SRS1=hash=a.test=nothing@x.test", NULL},
        {"j\xc3\xb6rg@b\xc3\xbcro.test", "j\xc3\xb6rg@xn--bro-hoa.test"},
    };
    const char *original;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice address = written(cases[i].sender, "alias.test", NOW);

        assert_int_equal(memcmp(address.p, "SRS0=", 5), 0);
        assert_int_equal(read_at(address, NOW + DAY, &original), SRS_READ);
        assert_string_equal(original, cases[i].back ? cases[i].back : cases[i].sender);
    }
}

static void test_what_another_has_rewritten(void **state)
{
    const char *original;
    struct slice second = written("SRS0=abcd=XY=orig.test=joe@first.test", "alias.test", NOW);
    struct slice third, plus = written("SRS0+abcd=XY=orig.test=joe@first.test", "alias.test", NOW), out;

    (void)state;
    assert_int_equal(memcmp(second.p, "SRS1=", 5), 0);
    assert_non_null(memmem(second.p, second.n, "=first.test==abcd=XY=orig.test=joe@", 35));
    assert_int_equal(read_at(second, NOW + 900 * DAY, &original), SRS_READ); /* the first looks at the day */
    assert_string_equal(original, "SRS0=abcd=XY=orig.test=joe@first.test");
    assert_int_equal(read_at(plus, NOW, &original), SRS_READ);
    assert_string_equal(original, "SRS0+abcd=XY=orig.test=joe@first.test");
    /* The third names the first, too, and is as long. */
    assert_int_equal(srs_write(arena, keys[1], second, SLICE("third.test"), NOW, &third), SRS_WRITTEN);
    assert_int_equal(third.n, second.n);
    assert_int_equal(read_at(third, NOW, &original), SRS_READ);
    assert_string_equal(original, "SRS0=abcd=XY=orig.test=joe@first.test");
    /* What one domain of ours forwards to another is found through. */
    assert_int_equal(srs_write(arena, keys[0], written("joe@outside.test", "a.test", NOW), SLICE("b.test"), NOW, &out),
                     SRS_WRITTEN);
    assert_int_equal(read_at(out, NOW, &original), SRS_READ);
    assert_int_equal(read_at(slice_str(original), NOW, &original), SRS_READ);
    assert_string_equal(original, "joe@outside.test");
}

static void test_what_cannot_be_carried(void **state)
{
    static const struct {
        const char *sender;
        enum srs_written written;
    } cases[] = {
        {"\"joe public\"@outside.test", SRS_UNFIT},
        {"joe@[192.0.2.1]", SRS_UNFIT},
        {"joe@localhost", SRS_UNFIT},
        {"joe", SRS_UNFIT},
        {"", SRS_UNFIT},
        {"@outside.test", SRS_UNFIT},
        /* 5 + 6 + 1 + 2 + 1 + 12 + 1 + 36 = 64 */
        {"123456789012345678901234567890123456@outside.test", SRS_WRITTEN},
        {"1234567890123456789012345678901234567@outside.test", SRS_TOO_LONG},
        {"bounces+20251127-joe=alias.example@mail.newsletters.example", SRS_TOO_LONG},
        {"SRS0=abcd=XY=a-long-domain.example=somebody@first.forwarder.example", SRS_TOO_LONG},
    };
    char domain[260];
    struct slice out;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(srs_write(arena, keys[0], slice_str(cases[i].sender), SLICE("alias.test"), NOW, &out),
                         cases[i].written);
    memset(domain, 'x', sizeof domain); /* the whole address has a limit, too */
    domain[230] = '\0';
    assert_int_equal(srs_write(arena, keys[0], SLICE("joe@outside.test"), slice_str(domain), NOW, &out), SRS_TOO_LONG);
}

static void test_time(void **state)
{
    struct slice address = written("joe@outside.test", "alias.test", NOW);
    const char *original;

    (void)state;
    assert_int_equal(read_at(address, NOW - DAY, &original), SRS_READ); /* written by a clock that is ahead */
    assert_int_equal(read_at(address, NOW - 2 * DAY, &original), SRS_OLD);
    assert_int_equal(read_at(address, NOW + 21 * DAY, &original), SRS_READ);
    assert_int_equal(read_at(address, NOW + 22 * DAY, &original), SRS_OLD);
    assert_int_equal(read_at(address, NOW + 1000 * DAY, &original), SRS_OLD);
    /* The days begin anew every 1,024. */
    address = written("joe@outside.test", "alias.test", 1023 * DAY);
    assert_int_equal(read_at(address, 1030 * DAY, &original), SRS_READ);
}

static void test_no_letter_may_change_but_its_case(void **state)
{
    struct slice address = written("Joe@outside.test", "alias.test", NOW);
    char *text = arena_slicedup(arena, address);
    const char *original;

    (void)state;
    for (size_t i = 0; i < address.n; i++) {
        char was = text[i];

        text[i] = was == 'b' ? 'c' : 'b';
        assert_int_not_equal(srs_read(arena, keys, 2, slice_str(text), NOW, 21, &address), SRS_READ);
        text[i] = was;
    }
    for (char *c = text; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    assert_int_equal(read_at(slice_str(text), NOW, &original), SRS_READ);
    assert_string_equal(original, "joe@outside.test"); /* its case is lost, as it was on the way */
    for (char *c = text; *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    assert_int_equal(read_at(slice_str(text), NOW, &original), SRS_READ);
}

static void test_keys_and_domains(void **state)
{
    struct slice address, out, unknown = SLICE("a key that nobody has, of the size");

    (void)state;
    assert_int_equal(srs_write(arena, keys[1], SLICE("joe@outside.test"), SLICE("alias.test"), NOW, &address),
                     SRS_WRITTEN);
    assert_int_equal(srs_read(arena, keys, 2, address, NOW, 21, &out), SRS_READ); /* an older key */
    assert_int_equal(srs_read(arena, keys, 1, address, NOW, 21, &out), SRS_FORGED);
    assert_int_equal(srs_read(arena, &unknown, 1, address, NOW, 21, &out), SRS_FORGED);
    assert_int_equal(srs_read(arena, NULL, 0, address, NOW, 21, &out), SRS_FORGED);
    char *elsewhere = arena_printf(arena, "%.*sother.test", (int)(address.n - 10), address.p);
    assert_int_equal(srs_read(arena, keys, 2, slice_str(elsewhere), NOW, 21, &out), SRS_FORGED);
}

static void test_what_looks_like_one_and_is_none(void **state)
{
    static const struct {
        const char *address;
        enum srs_read status;
    } cases[] = {
        {"joe@alias.test", SRS_NONE},
        {"srs@alias.test", SRS_NONE},
        {"SRS0@alias.test", SRS_NONE},
        {"SRS0=@alias.test", SRS_NONE},
        {"SRS2=a=b=c=d@a.test", SRS_NONE},
        {"SRS0", SRS_NONE},
        {"", SRS_NONE},
        {"@alias.test", SRS_NONE},
        {"SRS0=x@alias.test", SRS_FORGED},
        {"srs0+a=b=c=d@a.test", SRS_FORGED},
        {"SRS1-a=b=c=d@a.test", SRS_FORGED},
        {"SRS0=ABCDEF=@a.test", SRS_FORGED},
        {"SRS0=ABCDEF=AA=x.test=@a.test", SRS_FORGED},
        {"SRS0=ABCDEF=AA=x.test=j@", SRS_NONE},
        {"SRS0=ABCDEF=AA=x.test=j@[192.0.2.1]", SRS_FORGED},
    };
    const char *original;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(read_at(slice_str(cases[i].address), NOW, &original), cases[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_what_another_has_rewritten),
        cmocka_unit_test(test_what_cannot_be_carried),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_no_letter_may_change_but_its_case),
        cmocka_unit_test(test_keys_and_domains),
        cmocka_unit_test(test_what_looks_like_one_and_is_none),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
