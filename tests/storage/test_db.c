/*
 * storage/db against a real PostgreSQL: values there and back, what each answer means, and what is left when a server
 * process dies in the middle of a transaction.
 */
#include <signal.h>

#include "tests/storage/harness.h"

#define TASKS 200

/* ------------------------------------------------------------------ values */

static const struct db_statement echo = {
    "test_echo", "select $1::bigint, $2::integer, $3::smallint, $4::boolean, $5::text, $6::bytea, $7::timestamptz,"
                 "       $8::text, $9::bytea, $10::timestamptz, $11::bigint"};

static void values(void *arg)
{
    struct params params;
    struct rows *rows;
    int64_t at = 1795465514123; /* 2026-11-23T20:25:14.123Z */

    (void)arg;
    params_init(&params, arena);
    params_int64(&params, INT64_MIN);
    params_int32(&params, -2);
    params_int16(&params, 255);
    params_bool(&params, true);
    params_text(&params, SLICE("Gr\xc3\xbc\xc3\x9f"));
    params_bytes(&params, SLICE("\0\r\n\xff"));
    params_time(&params, at);
    params_text(&params, SLICE(""));
    params_bytes(&params, (struct slice){NULL, 0});
    params_time(&params, INT64_MIN);
    params_null(&params);
    expect(db_read(arena, &echo, &params, &rows) == DB_FOUND);
    expect(rows_count(rows) == 1);
    expect(row_int64(rows, 0, 0) == INT64_MIN);
    expect(row_int64(rows, 0, 1) == -2);
    expect(row_int64(rows, 0, 2) == 255);
    expect(row_bool(rows, 0, 3));
    expect(slice_equal(row_text(rows, 0, 4), SLICE("Gr\xc3\xbc\xc3\x9f")));
    expect(slice_equal(row_text(rows, 0, 5), SLICE("\0\r\n\xff")));
    expect(row_time(rows, 0, 6) == at);
    expect(row_text(rows, 0, 7).p && !row_text(rows, 0, 7).n && !row_is_null(rows, 0, 7));
    expect(!row_text(rows, 0, 8).p && row_is_null(rows, 0, 8));
    expect(row_time(rows, 0, 9) == INT64_MIN);
    expect(row_is_null(rows, 0, 10));
}

static void test_values_there_and_back(void **state)
{
    (void)state;
    in_task(values);
}

static const struct db_statement echo_arrays = {
    "test_echo_arrays",
    "select * from unnest($1::bigint[], $2::integer[], $3::smallint[], $4::boolean[], $5::text[], $6::bytea[],"
    "                     $7::timestamptz[])"};

static void arrays(void *arg)
{
    static const int64_t longs[] = {1, INT64_MAX, -1};
    static const int32_t ints[] = {1, INT32_MIN, 3};
    static const int16_t shorts[] = {0, -1, 32767};
    static const bool bools[] = {true, false, true};
    static const struct slice texts[] = {{"a", 1}, {NULL, 0}, {"", 0}};
    static const struct slice bytes[] = {{"\0", 1}, {"", 0}, {NULL, 0}};
    static const int64_t times[] = {0, INT64_MIN, 1795465514123};
    struct params params;
    struct rows *rows;

    (void)arg;
    for (unsigned n = 0; n <= 3; n += 3) { /* empty arrays, too */
        params_init(&params, arena);
        params_int64s(&params, longs, n);
        params_int32s(&params, ints, n);
        params_int16s(&params, shorts, n);
        params_bools(&params, bools, n);
        params_texts(&params, texts, n);
        params_bytess(&params, bytes, n);
        params_times(&params, times, n);
        expect(db_read(arena, &echo_arrays, &params, &rows) == (n ? DB_FOUND : DB_NONE));
        expect(rows_count(rows) == n);
        for (unsigned i = 0; i < n; i++) {
            expect(row_int64(rows, i, 0) == longs[i]);
            expect(row_int64(rows, i, 1) == ints[i]);
            expect(row_int64(rows, i, 2) == shorts[i]);
            expect(row_bool(rows, i, 3) == bools[i]);
            expect(slice_equal(row_text(rows, i, 4), texts[i]) && !row_text(rows, i, 4).p == !texts[i].p);
            expect(slice_equal(row_text(rows, i, 5), bytes[i]) && !row_text(rows, i, 5).p == !bytes[i].p);
            expect(row_time(rows, i, 6) == times[i]);
        }
    }
}

static void test_arrays_there_and_back(void **state)
{
    (void)state;
    in_task(arrays);
}

/* ------------------------------------------------------------------ answers */

static const struct db_statement make_table = {"test_make_table", "create table test_thing (id bigint primary key)"};
static const struct db_statement add_thing = {"test_add_thing", "insert into test_thing values ($1::bigint)"};
static const struct db_statement count_things = {"test_count_things", "select count(*) from test_thing"};
static const struct db_statement divide = {"test_divide", "select 1 / $1::integer"};
static const struct db_statement make_conflict = {
    "test_make_conflict", "create function test_conflict() returns void language plpgsql as"
                          " $$ begin raise exception using errcode = 'serialization_failure'; end $$"};
static const struct db_statement conflict = {"test_conflict", "select test_conflict()"};

static struct db_unit *two_things(int64_t one, int64_t other)
{
    struct db_unit *unit = db_unit_new(arena);

    params_int64(db_unit_add(unit, &add_thing), one);
    params_int64(db_unit_add(unit, &add_thing), other);
    return unit;
}

static void answers(void *arg)
{
    struct db_unit *unit = two_things(1, 2);
    struct params params;
    struct rows *rows;

    (void)arg;
    /* A statement that could not be prepared is not taken for prepared afterwards. */
    expect(db_unit_run(unit) == DB_UNDONE);
    expect(change(&make_table) == DB_DONE);
    expect(db_unit_run(two_things(1, 2)) == DB_DONE);
    expect(number(&count_things) == 2);

    /* One step is refused: nothing of the others stays. */
    unit = two_things(3, 1);
    expect(db_unit_run(unit) == DB_REFUSED);
    expect(strcmp(unit->error.constraint, "test_thing_pkey") == 0);
    expect(number(&count_things) == 2);
    /* And the connections go on. */
    expect(db_unit_run(two_things(3, 4)) == DB_DONE);

    params_init(&params, arena);
    params_int32(&params, 0);
    expect(db_read(arena, &divide, &params, &rows) == DB_FAILED);
    expect(number(&count_things) == 4);

    expect(change(&make_conflict) == DB_DONE);
    expect(change(&conflict) == DB_CONFLICT);
}

static void test_what_answers_mean(void **state)
{
    (void)state;
    in_task(answers);
}

static const struct db_statement show_sync = {"test_show_sync", "select current_setting('synchronous_commit') = 'off'"};

static void relaxed(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 6; i++) { /* on both write connections */
        struct db_unit *unit = db_unit_new(arena);

        unit->relaxed = i % 2;
        db_unit_add(unit, &show_sync);
        expect(db_unit_run(unit) == DB_DONE);
        expect(row_bool(unit->steps[0].rows, 0, 0) == unit->relaxed);
    }
}

static void test_relaxed_is_for_one_unit(void **state)
{
    (void)state;
    in_task(relaxed);
}

/* ------------------------------------------------------------------ many at once */

static const struct db_statement same = {"test_same", "select $1::bigint, pg_sleep(0.001)::text"};

static void ask_and_compare(void *arg)
{
    int64_t mine = (int64_t)(intptr_t)arg;
    struct db_unit *unit = db_unit_new(arena);
    struct params params;
    struct rows *rows;

    params_init(&params, arena);
    params_int64(&params, mine);
    expect(db_read(arena, &same, &params, &rows) == DB_FOUND);
    expect(row_int64(rows, 0, 0) == mine);
    params_int64(db_unit_add(unit, &same), -mine);
    expect(db_unit_run(unit) == DB_DONE);
    expect(row_int64(unit->steps[0].rows, 0, 0) == -mine);
}

static void test_everybody_gets_his_own_answer(void **state)
{
    (void)state;
    for (intptr_t i = 1; i <= TASKS; i++)
        begin_task(ask_and_compare, (void *)i); // NOLINT(performance-no-int-to-ptr)
    run_tasks();
}

/* ------------------------------------------------------------------ a server process dies */

static const struct db_statement terminate = {"test_terminate", "select pg_terminate_backend(pg_backend_pid())"};
static const struct db_statement wait_long = {"test_wait_long", "select pg_sleep(60)"};
static const struct db_statement busy_pid = {
    "test_busy_pid", "select coalesce(max(pid), 0) from pg_stat_activity where query like '%pg_sleep(60)%'"
                     "   and pid <> pg_backend_pid() and state = 'active'"};

/* Changes when the server has recovered from a crash. Until then even new connections may be cut. */
static const struct db_statement checkpoint = {"test_checkpoint",
                                               "select (checkpoint_lsn - '0/0')::bigint from pg_control_checkpoint()"};

static enum db_write ended;
static int64_t checkpoint_before;

static void unit_that_is_killed(void *arg)
{
    struct db_unit *unit = two_things(100, 101);

    (void)arg;
    db_unit_add(unit, &wait_long);
    ended = db_unit_run(unit);
}

/* kill -9: no word comes from the server, so nobody can know. */
static void killer(void *arg)
{
    int64_t pid = 0;

    (void)arg;
    for (unsigned i = 0; i < 1000 && pid <= 0; i++) {
        task_sleep(10);
        pid = number(&busy_pid);
    }
    checkpoint_before = number(&checkpoint);
    expect(pid > 0 && checkpoint_before > 0);
    expect(kill((pid_t)pid, SIGKILL) == 0);
}

static void look_after_kill(void *arg)
{
    (void)arg;
    uint64_t give_up = clock_steady_ms() + READY_MS;
    int64_t now = 0;

    expect(ended == DB_UNCERTAIN);
    while ((now = number(&checkpoint)) <= 0 || now == checkpoint_before) {
        expect(clock_steady_ms() < give_up);
        task_sleep(10);
    }
    expect(db_certain_wait(READY_MS));
    expect(number(&count_things) == 4);
}

static void test_killed_is_uncertain_and_recovers(void **state)
{
    (void)state;
    begin_task(unit_that_is_killed, NULL);
    begin_task(killer, NULL);
    run_tasks();
    in_task(look_after_kill);
}

/* The server says that it ends: it has not committed, and says so. */
static void terminated(void *arg)
{
    struct db_unit *unit = two_things(200, 201);

    (void)arg;
    db_unit_add(unit, &terminate);
    expect(db_unit_run(unit) == DB_UNDONE);
    expect(strcmp(unit->error.sqlstate, "57P01") == 0);
    expect(db_certain_wait(READY_MS));
    expect(number(&count_things) == 4);
    expect(db_unit_run(two_things(200, 201)) == DB_DONE);
}

static void test_terminated_is_undone(void **state)
{
    (void)state;
    in_task(terminated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_there_and_back),
        cmocka_unit_test(test_arrays_there_and_back),
        cmocka_unit_test(test_what_answers_mean),
        cmocka_unit_test(test_relaxed_is_for_one_unit),
        cmocka_unit_test(test_everybody_gets_his_own_answer),
        cmocka_unit_test(test_killed_is_uncertain_and_recovers),
        cmocka_unit_test(test_terminated_is_undone),
    };
    if (!getenv("POSTHOUSE_TEST_CONNINFO"))
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, harness_begin, harness_end);
}
