/* arena, id, clock, log: the small things that everything stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define LOG_MODULE "test"
#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"

static char order[8];

static void note_cleanup(void *arg)
{
    size_t n = strlen(order);

    order[n] = *(const char *)arg;
    order[n + 1] = '\0';
}

static void test_arena_limit_is_soft_and_memory_is_zero(void **state)
{
    struct arena *arena = arena_new(4096);

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        unsigned char *p = arena_alloc(arena, 100);

        for (unsigned j = 0; j < 100; j++)
            assert_int_equal(p[j], 0);
        memset(p, 0xff, 100);
    }
    assert_true(arena_full(arena));
    arena_reset(arena);
    assert_false(arena_full(arena));
    assert_int_equal(*(unsigned char *)arena_alloc(arena, 1), 0);
    assert_non_null(arena_alloc(arena, 1024 * 1024));
    arena_free(&arena);
    assert_null(arena);
    arena_free(&arena);
}

/* A block too large to be kept may be the first of all; what is not given back is LeakSanitizer's to find. */
static void test_arena_begins_with_something_large(void **state)
{
    struct arena *arena = arena_new(4096);

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        assert_non_null(arena_alloc(arena, 1024 * 1024));
        assert_int_equal(*(unsigned char *)arena_alloc(arena, 100), 0);
        assert_non_null(arena_alloc(arena, 1024 * 1024));
        arena_reset(arena);
        assert_int_equal(arena_used(arena), 0);
        assert_int_equal(*(unsigned char *)arena_alloc(arena, 500), 0);
    }
    arena_free(&arena);
}

static void test_arena_cleanups_run_newest_first(void **state)
{
    struct arena *arena = arena_new(100);
    char first[] = "a", second[] = "b";

    (void)state;
    order[0] = '\0';
    arena_on_done(arena, note_cleanup, first);
    arena_on_done(arena, note_cleanup, second);
    arena_reset(arena);
    assert_string_equal(order, "ba");
    arena_free(&arena);
    assert_string_equal(order, "ba");
}

static void test_arena_copies(void **state)
{
    struct arena *arena = arena_new(1000);
    struct slice absent = {NULL, 0}, lower = arena_lower(arena, SLICE("MiXed.\xC3\x84"));

    (void)state;
    assert_null(arena_slice(arena, absent).p);
    assert_true(slice_equal(lower, SLICE("mixed.\xC3\x84")));
    assert_int_equal(lower.p[lower.n], '\0');
    assert_string_equal(arena_printf(arena, "%d-%s", 7, "x"), "7-x");
    arena_free(&arena);
}

static void test_ids_ascend_and_carry_cell_and_time(void **state)
{
    int64_t last = 0, before = clock_now_ms();
    char text[ID_TEXT_SIZE], previous[ID_TEXT_SIZE] = "";

    (void)state;
    id_set_worker(1023);
    for (unsigned i = 0; i < 1000; i++) { /* many more than 16 in a millisecond */
        int64_t id = id_make(255), back;

        assert_true(id > last);
        assert_int_equal(id_cell(id), 255);
        assert_true(id_ms(id) >= before);
        id_print(id, text);
        assert_int_equal(strlen(text), 13);
        assert_true(strcmp(text, previous) > 0);
        assert_true(id_parse(slice_str(text), &back));
        assert_true(back == id);
        memcpy(previous, text, sizeof text);
        last = id;
    }
}

static void test_ids_parse_strictly(void **state)
{
    static const char *const bad[] = {
        "", "0", "000000000000", "00000000000000", "000000000000u", "00000000000 0", "z000000000000", "8000000000000"};
    int64_t id;

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(id_parse(slice_str(bad[i]), &id));
    assert_false(id_parse(slice_of("0000000\0"
                                   "00000",
                                   13),
                          &id));
    assert_true(id_parse(SLICE("7ZZZZZZZZZZZZ"), &id));
    assert_true(id == INT64_MAX);
}

static void test_dates(void **state)
{
    char text[CLOCK_RFC5322_SIZE];

    (void)state;
    assert_string_equal(clock_rfc5322(1795465514123, text), "Mon, 23 Nov 2026 20:25:14 +0000");
    assert_string_equal(clock_rfc3339(1795465514123, text), "2026-11-23T20:25:14.123Z");
    assert_string_equal(clock_imap(1793577600000, text), " 2-Nov-2026 00:00:00 +0000");
    assert_string_equal(clock_rfc3339(-1, text), "1969-12-31T23:59:59.999Z");
    assert_int_equal(clock_days(1970, 1, 1), 0);
    assert_int_equal(clock_days(2000, 3, 1), 11017);
    assert_int_equal(clock_days(1969, 12, 31), -1);
}

/* One event is one line, whatever a stranger put into it. */
static void test_log_lines_cannot_be_forged(void **state)
{
    int saved = dup(STDERR_FILENO), ends[2];
    char line[4096];
    ssize_t n;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_warn("odd", log_slice("from", SLICE("a\r\nlevel=error \"x\"\\\x1b[0m\xff")), log_int("n", -5));
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    n = read(ends[0], line, sizeof line - 1);
    assert_true(n > 0);
    line[n] = '\0';
    assert_ptr_equal(strchr(line, '\n'), line + n - 1);
    assert_non_null(strstr(line, "from=\"a\\x0d\\x0alevel=error \\\"x\\\"\\\\\\x1b[0m\\xff\" n=-5\n"));
    assert_non_null(strstr(line, "level=warn module=test msg=odd"));
    close(ends[0]);
    close(saved);
}

static void test_log_levels_by_module(void **state)
{
    (void)state;
    log_set_level(NULL, LOG_LEVEL_WARN);
    log_set_level("smtp", LOG_LEVEL_DEBUG);
    assert_true(log_enabled("smtp", LOG_LEVEL_DEBUG));
    assert_false(log_enabled("imap", LOG_LEVEL_INFO));
    log_set_level(NULL, LOG_LEVEL_INFO);
    assert_false(log_enabled("smtp", LOG_LEVEL_DEBUG));
}

static void test_clock_reads_rfc3339(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: none */
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-23T20:25:14Z", 1795465514000},
        {"2026-11-23t21:25:14.5+01:00", 1795465514500},
        {"2026-11-23T15:55:14.1239-04:30", 1795465514123},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"2023-02-29T00:00:00Z", -1},
        {"2026-13-01T00:00:00Z", -1},
        {"2026-00-10T00:00:00Z", -1},
        {"2026-11-23T24:00:00Z", -1},
        {"2026-11-23T20:25:14", -1},
        {"2026-11-23 20:25:14Z", -1},
        {"2026-11-23T20:25:14.Z", -1},
        {"2026-11-23T20:25:14+1:00", -1},
        {"2026-11-23T20:25:14Zx", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"tomorrow", -1},
        {"", -1},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = -1;
        assert_int_equal(clock_parse_rfc3339(slice_str(cases[i].text), &ms), cases[i].ms >= 0);
        if (cases[i].ms >= 0)
            assert_int_equal(ms, cases[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_reads_rfc3339),
        cmocka_unit_test(test_arena_limit_is_soft_and_memory_is_zero),
        cmocka_unit_test(test_arena_begins_with_something_large),
        cmocka_unit_test(test_arena_cleanups_run_newest_first),
        cmocka_unit_test(test_arena_copies),
        cmocka_unit_test(test_ids_ascend_and_carry_cell_and_time),
        cmocka_unit_test(test_ids_parse_strictly),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_log_lines_cannot_be_forged),
        cmocka_unit_test(test_log_levels_by_module),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
