/*
 * spool: what was appended is what is read, in memory and past SPOOL_MEMORY, in any steps; and a disk that is full,
 * missing or not a directory is a refusal that lasts, never a shorter message.
 *
 * A full disk is played by RLIMIT_FSIZE: writes past it are short and then fail, as they do on a file system that fills
 * up.
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/spool.h"

#define LONG (3 * SPOOL_MEMORY + 12345)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static char directory[] = "/tmp/posthouse-spool-XXXXXX";
static char pattern[LONG];

static int setup_all(void **state)
{
    (void)state;
    /* No period that a mistaken offset by a power of two, or by a buffer, would hide behind. */
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)((i * 2654435761u) >> 13);
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
        return -1;
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown_all(void **state)
{
    (void)state;
    return rmdir(directory); /* fails when anything was left in it */
}

static int setup(void **state)
{
    (void)state;
    spool_set_directory(directory);
    return 0;
}

static struct spool *filled(size_t size, size_t step)
{
    struct spool *spool = spool_new();

    for (size_t at = 0; at < size; at += step)
        assert_true(spool_append(spool, slice_of(pattern + at, size - at < step ? size - at : step)));
    assert_int_equal(spool_size(spool), size);
    assert_false(spool_failed(spool));
    return spool;
}

/* Reads all of it in steps of n bytes. */
static void assert_reads(struct spool *spool, size_t n)
{
    char *buffer = malloc(n);
    size_t at = 0;
    struct slice out;

    assert_non_null(buffer);
    for (;;) {
        assert_true(spool_read(spool, at, n, buffer, &out));
        if (!out.n)
            break;
        assert_true(out.n <= n);
        assert_memory_equal(out.p, pattern + at, out.n);
        at += out.n;
    }
    assert_int_equal(at, spool_size(spool));
    free(buffer);
}

static void assert_maps(struct spool *spool)
{
    struct slice all;

    for (unsigned i = 0; i < 2; i++) { /* the second time is the first's */
        assert_true(spool_map(spool, &all));
        assert_int_equal(all.n, spool_size(spool));
        assert_memory_equal(all.p, pattern, all.n);
    }
}

static void test_what_goes_in_comes_out(void **state)
{
    static const size_t sizes[] = {1,
                                   4095,
                                   4096,
                                   4097,
                                   SPOOL_MEMORY - 1,
                                   SPOOL_MEMORY,
                                   SPOOL_MEMORY + 1,
                                   SPOOL_MEMORY + 64 * 1024,
                                   SPOOL_MEMORY + 64 * 1024 + 1,
                                   LONG};
    static const size_t steps[] = {997, 4096, 64 * 1024, 64 * 1024 + 1, SPOOL_MEMORY, LONG};

    (void)state;
    for (unsigned i = 0; i < COUNT(sizes); i++)
        for (unsigned j = 0; j < COUNT(steps); j++) {
            struct spool *spool = filled(sizes[i], steps[j]);

            assert_reads(spool, 1000);
            assert_reads(spool, LONG);
            assert_maps(spool);
            spool_unref(&spool);
            assert_null(spool);
        }
}

static void test_an_empty_one(void **state)
{
    struct spool *spool = spool_new();
    struct slice out;
    char buffer[8];

    (void)state;
    assert_true(spool_append(spool, SLICE("")));
    assert_int_equal(spool_size(spool), 0);
    assert_true(spool_read(spool, 0, sizeof buffer, buffer, &out));
    assert_int_equal(out.n, 0);
    assert_true(spool_map(spool, &out));
    assert_int_equal(out.n, 0);
    assert_non_null(out.p);
    spool_unref(&spool);
    spool_unref(&spool); /* none is none */
}

static void test_any_part_can_be_read(void **state)
{
    static const size_t offsets[] = {0,        1,    SPOOL_MEMORY - 10, SPOOL_MEMORY, SPOOL_MEMORY + 1,
                                     LONG - 7, LONG, LONG + 1,          SIZE_MAX};
    struct spool *spool = filled(LONG, 10000);
    char buffer[20];
    struct slice out;

    (void)state;
    for (unsigned i = 0; i < COUNT(offsets); i++) {
        assert_true(spool_read(spool, offsets[i], sizeof buffer, buffer, &out));
        assert_int_equal(out.n != 0, offsets[i] < LONG);
        assert_true(out.n <= sizeof buffer);
        assert_memory_equal(out.p, pattern + (out.n ? offsets[i] : 0), out.n);
    }
    spool_unref(&spool);
}

/* A message is written while none of it has been read, and read while it is still written: dot removal looks back. */
static void test_reading_between_writes(void **state)
{
    struct spool *spool = spool_new();

    (void)state;
    for (size_t at = 0; at < LONG; at += 50000) {
        assert_true(spool_append(spool, slice_of(pattern + at, LONG - at < 50000 ? LONG - at : 50000)));
        assert_reads(spool, 70000);
    }
    spool_unref(&spool);
}

static unsigned names_in_directory(void)
{
    DIR *dir = opendir(directory);
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void test_the_file_has_no_name(void **state)
{
    struct spool *spool = filled(LONG, 4096);

    (void)state;
    assert_int_equal(names_in_directory(), 2); /* . and .. */
    spool_unref(&spool);
}

static void test_it_lives_as_long_as_its_last_reader(void **state)
{
    struct spool *spool = filled(LONG, 4096), *second = spool_ref(spool);

    (void)state;
    spool_unref(&spool);
    assert_null(spool);
    assert_reads(second, 4096);
    assert_maps(second);
    spool_unref(&second);
}

/* In memory a directory that is no good does not matter; the append that needs it fails, and so does each one after. */
static void test_no_place_to_spill_to(void **state)
{
    static const char *const places[] = {"/nonexistent/posthouse", "/dev/null"};

    (void)state;
    for (unsigned i = 0; i < COUNT(places); i++) {
        struct spool *spool;

        spool_set_directory(places[i]);
        spool = filled(SPOOL_MEMORY, 4096);
        assert_false(spool_append(spool, SLICE("x")));
        assert_true(spool_failed(spool));
        assert_false(spool_append(spool, SLICE("x")));
        spool_set_directory(directory); /* mended, but a hole in a message is not */
        assert_false(spool_append(spool, SLICE("x")));
        assert_false(spool_append(spool, SLICE("")));
        assert_int_equal(spool_size(spool), SPOOL_MEMORY);
        spool_unref(&spool);
    }
}

static struct rlimit without_limit;

static void limit_files(rlim_t bytes)
{
    struct rlimit limited;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &without_limit), 0);
    limited = without_limit;
    limited.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
}

static void limit_no_more(void)
{
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &without_limit), 0);
}

static void test_the_disk_fills_up(void **state)
{
    static const size_t limits[] = {100, SPOOL_MEMORY, SPOOL_MEMORY + 100, 2 * SPOOL_MEMORY + 777};
    static const size_t steps[] = {4096, 100000}; /* through the buffer, and past it */

    (void)state;
    for (unsigned i = 0; i < COUNT(limits); i++)
        for (unsigned j = 0; j < COUNT(steps); j++) {
            struct spool *spool = spool_new();
            struct slice all;
            size_t at = 0;

            limit_files(limits[i]);
            while (at + steps[j] <= LONG && spool_append(spool, slice_of(pattern + at, steps[j])))
                at += steps[j];
            limit_no_more();
            assert_true(at + steps[j] <= LONG);
            assert_true(spool_failed(spool));
            assert_false(spool_append(spool, SLICE("x"))); /* there is room again, but what was cut off stays so */
            assert_false(spool_map(spool, &all));          /* nor is half of it shown as the whole */
            spool_unref(&spool);
        }
}

/*
 * spool_map() writes what is still in the buffer: that may fail, too, and must not be tried a second time over half of
 * it.
 */
static void test_the_disk_fills_up_when_it_is_mapped(void **state)
{
    struct spool *spool = filled(SPOOL_MEMORY + 20000, 10000);
    struct slice all;

    (void)state;
    limit_files(SPOOL_MEMORY + 5000);
    assert_false(spool_map(spool, &all));
    limit_no_more();
    assert_true(spool_failed(spool));
    assert_false(spool_map(spool, &all));
    spool_unref(&spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_goes_in_comes_out, setup),
        cmocka_unit_test_setup(test_an_empty_one, setup),
        cmocka_unit_test_setup(test_any_part_can_be_read, setup),
        cmocka_unit_test_setup(test_reading_between_writes, setup),
        cmocka_unit_test_setup(test_the_file_has_no_name, setup),
        cmocka_unit_test_setup(test_it_lives_as_long_as_its_last_reader, setup),
        cmocka_unit_test_setup(test_no_place_to_spill_to, setup),
        cmocka_unit_test_setup(test_the_disk_fills_up, setup),
        cmocka_unit_test_setup(test_the_disk_fills_up_when_it_is_mapped, setup),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
