/*
 * secret_ring and secret_box: published vectors, what is altered, moved or of a lost key does not open, keys are
 * changed without a gap, a text that fails is wiped, and a file of keys is believed only if nobody else can read it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/secret_box.h"
#include "core/secret_ring.h"

#define KEY_A "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define KEY_B "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
#define SHORT "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=="
#define BOUND SLICE("credential 42 secret")

static struct slice from_hex(struct arena *arena, const char *hex)
{
    size_t n = strlen(hex) / 2;
    char *out = arena_alloc(arena, n + 1);

    for (size_t i = 0; i < n; i++) {
        unsigned byte;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (char)byte;
    }
    return slice_of(out, n);
}

static struct secret_ring *ring_of(const char *text)
{
    char error[200] = "";
    struct secret_ring *ring = secret_ring_parse(slice_str(text), error, sizeof error);

    assert_string_equal(error, "");
    assert_non_null(ring);
    return ring;
}

/* -------- the box */

/* The GCM specification's test cases 14 and 16: nonce, text, tag. */
static void test_the_published_vectors_open(void **state)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice key, plain;

    (void)state;
    key = from_hex(arena, "0000000000000000000000000000000000000000000000000000000000000000");
    assert_true(secret_box_open(arena, (const unsigned char *)key.p, SLICE(""),
                                from_hex(arena, "000000000000000000000000"
                                                "cea7403d4d606b6e074ec5d3baf39d18"
                                                "d0d1c8a799996bf0265b98b5d48ab919"),
                                &plain));
    assert_true(slice_equal(plain, from_hex(arena, "00000000000000000000000000000000")));
    key = from_hex(arena, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    assert_true(secret_box_open(arena, (const unsigned char *)key.p,
                                from_hex(arena, "feedfacedeadbeeffeedfacedeadbeefabaddad2"),
                                from_hex(arena, "cafebabefacedbaddecaf888"
                                                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                                                "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                                                "76fc6ece0f4e1768cddf8853bb2d551b"),
                                &plain));
    assert_true(slice_equal(plain, from_hex(arena, "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                                                   "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")));
    arena_free(&arena);
}

static struct slice watched;
static unsigned left_over, looked;

/* Runs after the secret's own clean-up, being older, and while the arena's memory is still there. */
static void on_look(void *arg)
{
    (void)arg;
    looked++;
    for (size_t i = 0; i < watched.n; i++)
        left_over += watched.p[i] != '\0';
}

static void test_an_opened_secret_is_wiped_with_its_arena(void **state)
{
    struct arena *kept = arena_new(SIZE_MAX), *arena = arena_new(SIZE_MAX);
    struct secret_ring *ring = ring_of(KEY_A "\n");
    struct slice sealed = secret_ring_seal(ring, kept, BOUND, SLICE("correct horse"));

    (void)state;
    arena_on_done(arena, on_look, NULL);
    assert_int_equal(secret_ring_open(ring, arena, BOUND, sealed, &watched), SECRET_RING_OPENED);
    assert_true(slice_equal(watched, SLICE("correct horse")));
    assert_int_equal(watched.p[watched.n], '\0');
    arena_free(&arena);
    assert_int_equal(looked, 1);
    assert_int_equal(left_over, 0);
    secret_ring_free(&ring);
    arena_free(&kept);
}

/* -------- the ring */

static void test_what_is_sealed_opens_and_shows_nothing(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 4096, 100000};
    struct secret_ring *ring = ring_of(KEY_A "\n");

    (void)state;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct arena *arena = arena_new(SIZE_MAX);
        char *text = arena_alloc(arena, sizes[i] + 1);
        struct slice one, two, plain;

        memset(text, 's', sizes[i]);
        one = secret_ring_seal(ring, arena, BOUND, slice_of(text, sizes[i]));
        two = secret_ring_seal(ring, arena, BOUND, slice_of(text, sizes[i]));
        assert_int_equal(one.n, 1 + 8 + 12 + sizes[i] + 16);
        assert_false(slice_equal(one, two)); /* nobody sees that two have the same password */
        assert_null(memmem(one.p, one.n, "ssssssss", 8));
        assert_int_equal(secret_ring_open(ring, arena, BOUND, one, &plain), SECRET_RING_OPENED);
        assert_true(slice_equal(plain, slice_of(text, sizes[i])));
        arena_free(&arena);
    }
    secret_ring_free(&ring);
}

static void test_each_bit_counts_and_each_byte(void **state)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct secret_ring *ring = ring_of(KEY_A "\n" KEY_B "\n");
    struct slice sealed = secret_ring_seal(ring, arena, BOUND, SLICE("correct horse")), plain = {NULL, 0};
    char *bytes = (char *)sealed.p;

    (void)state;
    for (size_t bit = 0; bit < sealed.n * 8; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(secret_ring_open(ring, arena, BOUND, sealed, &plain),
                         bit / 8 >= 1 && bit / 8 < 9 ? SECRET_RING_NO_KEY : SECRET_RING_SPOILED);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t n = 0; n < sealed.n; n++)
        assert_int_equal(secret_ring_open(ring, arena, BOUND, slice_of(sealed.p, n), &plain), SECRET_RING_SPOILED);
    assert_int_equal(
        secret_ring_open(ring, arena, BOUND, slice_of(arena_slicedup(arena, sealed), sealed.n + 1), &plain),
        SECRET_RING_SPOILED);
    assert_null(plain.p);
    assert_int_equal(secret_ring_open(ring, arena, BOUND, sealed, &plain), SECRET_RING_OPENED);
    secret_ring_free(&ring);
    arena_free(&arena);
}

/* Somebody who may write to the database puts one row's secret into another, which sends it to a host of his. */
static void test_a_secret_of_another_row_does_not_open(void **state)
{
    static const char *const others[] = {"credential 43 secret", "credential 4", "credential 42 secret ", ""};
    struct arena *arena = arena_new(SIZE_MAX);
    struct secret_ring *ring = ring_of(KEY_A "\n");
    struct slice sealed = secret_ring_seal(ring, arena, BOUND, SLICE("correct horse")), plain;

    (void)state;
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(secret_ring_open(ring, arena, slice_str(others[i]), sealed, &plain), SECRET_RING_SPOILED);
    secret_ring_free(&ring);
    arena_free(&arena);
}

/* The name in front is not believed: a box under the name of another key of the ring does not open. */
static void test_the_name_of_the_key_is_bound(void **state)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct secret_ring *a = ring_of(KEY_A "\n" KEY_B "\n"), *b = ring_of(KEY_B "\n");
    struct slice sealed = secret_ring_seal(a, arena, BOUND, SLICE("x")),
                 other = secret_ring_seal(b, arena, BOUND, SLICE("x")), plain;

    (void)state;
    memcpy((char *)sealed.p, other.p, 9);
    assert_int_equal(secret_ring_open(a, arena, BOUND, sealed, &plain), SECRET_RING_SPOILED);
    secret_ring_free(&a);
    secret_ring_free(&b);
    arena_free(&arena);
}

static void test_keys_change_without_a_gap(void **state)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct secret_ring *before = ring_of(KEY_A "\n"), *added = ring_of(KEY_A "\n" KEY_B "\n"),
                       *moved = ring_of(KEY_B "\n" KEY_A "\n"), *after = ring_of(KEY_B "\n");
    struct slice old = secret_ring_seal(before, arena, BOUND, SLICE("s")),
                 young = secret_ring_seal(moved, arena, BOUND, SLICE("s")), plain;

    (void)state;
    assert_string_equal(secret_ring_name(before), secret_ring_name(added));
    assert_string_equal(secret_ring_name(moved), secret_ring_name(after));
    assert_string_not_equal(secret_ring_name(before), secret_ring_name(after));
    assert_int_equal(secret_ring_open(added, arena, BOUND, young, &plain),
                     SECRET_RING_OPENED); /* a node that is a step behind */
    assert_int_equal(secret_ring_open(moved, arena, BOUND, old, &plain), SECRET_RING_OPENED);
    assert_int_equal(secret_ring_open(after, arena, BOUND, old, &plain), SECRET_RING_NO_KEY);
    assert_int_equal(secret_ring_open(before, arena, BOUND, young, &plain), SECRET_RING_NO_KEY);
    assert_true(secret_ring_current(added, old));
    assert_false(secret_ring_current(moved, old));
    assert_true(secret_ring_current(moved, young));
    assert_false(secret_ring_current(moved, slice_of(young.p, 8)));
    assert_false(secret_ring_current(moved, SLICE("")));
    secret_ring_free(&before);
    secret_ring_free(&added);
    secret_ring_free(&moved);
    secret_ring_free(&after);
    secret_ring_free(&after); /* none is none */
    arena_free(&arena);
}

static void test_texts_that_hold_no_keys_are_told_by_line(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"", "there is no key in it"},
        {"# " KEY_A "\n\n", "there is no key in it"},
        {"\n\nabc\n", "line 3 is not a key: 32 bytes in base64"},
        {KEY_A "\n" SHORT "\n", "line 2 is not a key: 32 bytes in base64"},
        {KEY_A " " KEY_B "\n", "line 1 is not a key: 32 bytes in base64"},
        {KEY_A "AAAA\n", "line 1 is not a key: 32 bytes in base64"},
        {KEY_A "\n#\n" KEY_A "\n", "line 3 is the same key as one above"},
    };
    char error[200];
    struct secret_ring *ring = ring_of("# first\r\n  " KEY_A "\t\r\n\n" KEY_B);

    (void)state;
    assert_int_equal(secret_ring_count(ring), 2);
    secret_ring_free(&ring);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_null(secret_ring_parse(slice_str(rows[i].text), error, sizeof error));
        assert_string_equal(error, rows[i].error);
    }
}

/* -------- the file */

struct place {
    char folder[64], file[80], fresh[90];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    assert_non_null(place);
    snprintf(place->folder, sizeof place->folder, "/tmp/test_core_secret_ring.XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->file, sizeof place->file, "%s/keys", place->folder);
    snprintf(place->fresh, sizeof place->fresh, "%s.new", place->file);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    unlink(place->file);
    unlink(place->fresh);
    rmdir(place->folder);
    free(place);
    return 0;
}

static void put(const char *file, const char *text, mode_t mode)
{
    FILE *out = fopen(file, "we");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(file, mode), 0);
}

static void refused(const struct place *place, const char *reason)
{
    char error[300] = "", name[SECRET_RING_NAME_SIZE];

    assert_null(secret_ring_load(place->file, error, sizeof error));
    assert_non_null(strstr(error, place->file));
    assert_non_null(strstr(error, reason));
    assert_false(secret_ring_add(place->file, name, error, sizeof error));
    assert_non_null(strstr(error, reason));
}

static void test_a_made_key_seals_and_the_next_one_opens(void **state)
{
    const struct place *place = *state;
    struct arena *arena = arena_new(SIZE_MAX);
    char first[SECRET_RING_NAME_SIZE], second[SECRET_RING_NAME_SIZE], error[300] = "";
    struct secret_ring *one, *two;
    struct slice sealed, plain;
    struct stat status;

    assert_null(secret_ring_load(place->file, error, sizeof error));
    assert_non_null(strstr(error, "does not exist"));
    assert_true(secret_ring_add(place->file, first, error, sizeof error));
    assert_int_equal(stat(place->file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    one = secret_ring_load(place->file, error, sizeof error);
    assert_non_null(one);
    assert_int_equal(secret_ring_count(one), 1);
    assert_string_equal(secret_ring_name(one), first);
    sealed = secret_ring_seal(one, arena, BOUND, SLICE("s"));

    assert_true(secret_ring_add(place->file, second, error, sizeof error));
    assert_string_not_equal(first, second);
    two = secret_ring_load(place->file, error, sizeof error);
    assert_non_null(two);
    assert_int_equal(secret_ring_count(two), 2);
    assert_string_equal(secret_ring_name(two), first);
    assert_int_equal(secret_ring_open(two, arena, BOUND, sealed, &plain), SECRET_RING_OPENED);
    assert_int_not_equal(access(place->fresh, F_OK), 0);
    secret_ring_free(&one);
    secret_ring_free(&two);
    arena_free(&arena);
}

static void test_a_file_is_full_with_sixteen_keys(void **state)
{
    const struct place *place = *state;
    char name[SECRET_RING_NAME_SIZE], error[300] = "";

    for (unsigned i = 0; i < SECRET_RING_KEYS_MAX; i++)
        assert_true(secret_ring_add(place->file, name, error, sizeof error));
    assert_false(secret_ring_add(place->file, name, error, sizeof error));
    assert_non_null(strstr(error, "as many keys as it may have"));
}

static void test_a_file_that_others_may_use_is_refused(void **state)
{
    static const mode_t modes[] = {0644, 0640, 0604, 0620, 0601};
    const struct place *place = *state;

    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
        put(place->file, KEY_A "\n", modes[i]);
        refused(place, "chmod 600");
    }
}

static void test_what_is_no_file_of_keys_is_refused(void **state)
{
    const struct place *place = *state;
    char *long_text = calloc(1, 20000);
    char line[SECRET_RING_NAME_SIZE], error[300];

    put(place->file, "secret-in-the-clear\n", 0600);
    refused(place, "line 1 is not a key");
    assert_null(secret_ring_load(place->file, error, sizeof error));
    assert_null(strstr(error, "secret-in-the-clear")); /* what stands in it is not repeated */
    memset(long_text, '#', 19999);
    put(place->file, long_text, 0600);
    refused(place, "too long");
    free(long_text);
    unlink(place->file);
    assert_int_equal(mkfifo(place->file, 0600), 0); /* does not wait for a writer */
    refused(place, "is not a file");
    unlink(place->file);
    assert_int_equal(symlink("elsewhere", place->file), 0);
    assert_false(secret_ring_add(place->file, line, error, sizeof error));
    assert_non_null(strstr(error, "is a link"));
}

static void test_two_who_add_do_not_undo_each_other(void **state)
{
    const struct place *place = *state;
    char name[SECRET_RING_NAME_SIZE], error[300] = "";
    struct secret_ring *ring;

    put(place->file, "# ours\n" KEY_A, 0600);
    put(place->fresh, "", 0600); /* the other one is at work */
    assert_false(secret_ring_add(place->file, name, error, sizeof error));
    assert_non_null(strstr(error, ".new cannot be made"));
    unlink(place->fresh);
    assert_true(secret_ring_add(place->file, name, error, sizeof error));
    ring = secret_ring_load(place->file, error, sizeof error);
    assert_non_null(ring);
    assert_int_equal(secret_ring_count(ring), 2); /* its last line had no end */
    secret_ring_free(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_published_vectors_open),
        cmocka_unit_test(test_an_opened_secret_is_wiped_with_its_arena),
        cmocka_unit_test(test_what_is_sealed_opens_and_shows_nothing),
        cmocka_unit_test(test_each_bit_counts_and_each_byte),
        cmocka_unit_test(test_a_secret_of_another_row_does_not_open),
        cmocka_unit_test(test_the_name_of_the_key_is_bound),
        cmocka_unit_test(test_keys_change_without_a_gap),
        cmocka_unit_test(test_texts_that_hold_no_keys_are_told_by_line),
        cmocka_unit_test_setup_teardown(test_a_made_key_seals_and_the_next_one_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_is_full_with_sixteen_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_others_may_use_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_file_of_keys_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_who_add_do_not_undo_each_other, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
