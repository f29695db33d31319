/*
 * breaker_watch: what passes before anything is read, whose turn it is, and what is forgotten.  The storage is one of
 * ACCOUNTS accounts that answers at once; the functions that breaker_watch calls are defined here, and the linker takes
 * these.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/breaker.h"
#include "relay/breaker_watch.h"
#include "storage/held_account.h"
#include "storage/known.h"

#define ACCOUNTS 1000

static struct {
    bool gone;
    unsigned asked, written;
    struct breaker_pattern pattern;
} rows[ACCOUNTS];
static const struct breaker_policy policy = {
    .enabled = true, .least = {100, 500, 50}, .factor = 4, .countries = 2, .hold_ms = 1000};
static enum db_status reading;
static void (*during_read)(void); /* what comes while the answer is waited for */
static enum db_write noting;
static unsigned reads, opened, noted;
static struct breaker_trip trip;

/* ------------------------------------------------------------------ the storage */

const struct breaker_policy *breaker_policy_of(int64_t customer_id, int64_t domain_id, int64_t account_id)
{
    (void)customer_id, (void)domain_id, (void)account_id;
    return &policy;
}

const char *breaker_measure_word(enum breaker_measure measure)
{
    (void)measure;
    return "";
}

enum db_status breaker_read(struct arena *arena, const int64_t *accounts, unsigned count, struct breaker_account **out,
                            unsigned *found)
{
    reads++;
    if (during_read)
        during_read();
    *found = 0;
    *out = arena_array(arena, count, sizeof **out);
    for (unsigned i = 0; i < count && reading != DB_FAILED; i++) {
        rows[accounts[i]].asked++;
        if (!rows[accounts[i]].gone)
            (*out)[(*found)++] =
                (struct breaker_account){.account_id = accounts[i], .pattern = rows[accounts[i]].pattern};
    }
    return reading == DB_FAILED ? DB_FAILED : *found ? DB_FOUND : DB_NONE;
}

enum db_status breaker_failing(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                               int64_t **out, unsigned *count)
{
    (void)arena, (void)cells, (void)cell_count, (void)limit, (void)out;
    *count = 0;
    return DB_NONE;
}

enum db_write breaker_write(const struct breaker_account *accounts, unsigned count, bool *written)
{
    for (unsigned i = 0; i < count; i++) {
        rows[accounts[i].account_id].written++;
        rows[accounts[i].account_id].pattern = accounts[i].pattern;
        written[i] = true;
    }
    return DB_DONE;
}

enum db_write breaker_open(int64_t account_id, const struct breaker_trip *why, const struct breaker_policy *whose,
                           bool *is_new)
{
    (void)account_id, (void)whose;
    opened++;
    trip = *why;
    *is_new = true;
    return DB_DONE;
}

enum db_write breaker_country_note(const int64_t *accounts, const struct slice *addresses, unsigned count)
{
    (void)accounts, (void)addresses;
    noted += noting == DB_DONE ? count : 0;
    return noting;
}

bool held_account_find(struct arena *arena, int64_t account_id, struct held_account *out)
{
    (void)arena, (void)account_id, (void)out;
    return false;
}

enum db_status known_refresh(void)
{
    return DB_FOUND;
}

static int set_up(void **unused)
{
    (void)unused;
    memset(rows, 0, sizeof rows);
    reading = DB_FOUND;
    noting = DB_DONE;
    during_read = NULL;
    reads = opened = noted = 0;
    return 0;
}

static struct directory_account of(int64_t id)
{
    return (struct directory_account){.id = id, .address = SLICE("ann@here.test")};
}

/* ------------------------------------------------------------------ before anything is read */

/* Its first letter is to more than it may send to. */
static void test_one_letter_to_many(void **unused)
{
    struct directory_account account = of(1);

    (void)unused;
    assert_true(breaker_watch_message(&account, 501, NULL));
    assert_int_equal(breaker_watch_open(&account), DB_DONE);
    assert_int_equal(opened, 1);
    assert_int_equal(trip.measure, BREAKER_RECIPIENTS);
    assert_int_equal(trip.value, 501);
}

/* A tenth goes without a question; then it is asked once, and known. */
static void test_a_part_is_not_asked_about(void **unused)
{
    struct directory_account account = of(2);

    (void)unused;
    assert_false(breaker_watch_message(&account, 50, NULL));
    assert_true(breaker_watch_message(&account, 1, NULL));
    reading = DB_FAILED;
    assert_int_equal(breaker_watch_open(&account), DB_UNDONE);
    reading = DB_FOUND;
    assert_int_equal(breaker_watch_open(&account), DB_DONE);
    assert_int_equal(reads, 2);
    assert_int_equal(opened, 0);
    assert_false(breaker_watch_message(&account, 449, NULL));
    assert_true(breaker_watch_message(&account, 1, NULL));
    assert_int_equal(breaker_watch_open(&account), DB_DONE);
    assert_int_equal(opened, 1);
}

/* ------------------------------------------------------------------ ticks */

/* More send without a pause than a tick takes. */
static void test_each_has_its_turn(void **unused)
{
    (void)unused;
    for (unsigned tick = 0; tick < 10; tick++) {
        for (unsigned i = 10; i < ACCOUNTS; i++) {
            struct directory_account account = of(i);

            assert_false(breaker_watch_message(&account, 1, NULL));
        }
        breaker_watch_flush(NULL, 0);
    }
    for (unsigned i = 10; i < ACCOUNTS; i++)
        assert_in_range(rows[i].written, 1, 4);
    for (unsigned tick = 0; tick < 10; tick++)
        breaker_watch_flush(NULL, 0);
    for (unsigned i = 10; i < ACCOUNTS; i++)
        assert_int_equal(rows[i].pattern.now[BREAKER_MESSAGES] + rows[i].pattern.before[BREAKER_MESSAGES], 10);
}

/* What is gone is asked for once; what cannot be asked for, again. */
static void test_what_is_gone_is_forgotten(void **unused)
{
    struct directory_account account = of(3);

    (void)unused;
    assert_false(breaker_watch_message(&account, 1, NULL));
    rows[3].gone = true;
    reading = DB_FAILED;
    breaker_watch_flush(NULL, 0);
    reading = DB_FOUND;
    breaker_watch_flush(NULL, 0);
    breaker_watch_flush(NULL, 0);
    assert_int_equal(reads, 2);
    assert_int_equal(rows[3].asked, 1);
}

static void one_more_from_elsewhere(void)
{
    struct directory_account account = of(4);

    during_read = NULL;
    assert_false(breaker_watch_message(&account, 1, "192.0.2.2"));
}

/* Its counts are written with those of the others; its country was not asked for. */
static void test_an_address_that_comes_meanwhile(void **unused)
{
    struct directory_account account = of(4);

    (void)unused;
    assert_false(breaker_watch_message(&account, 1, "192.0.2.1"));
    during_read = one_more_from_elsewhere;
    breaker_watch_flush(NULL, 0);
    assert_int_equal(noted, 1);
    breaker_watch_flush(NULL, 0);
    assert_int_equal(noted, 2);
    breaker_watch_flush(NULL, 0);
    assert_int_equal(noted, 2);
    assert_int_equal(rows[4].pattern.now[BREAKER_MESSAGES] + rows[4].pattern.before[BREAKER_MESSAGES], 2);
}

/* It is asked for again, though its message is counted. */
static void test_a_country_that_could_not_be_noted(void **unused)
{
    struct directory_account account = of(5);

    (void)unused;
    assert_false(breaker_watch_message(&account, 1, "192.0.2.1"));
    noting = DB_UNDONE;
    breaker_watch_flush(NULL, 0);
    noting = DB_DONE;
    breaker_watch_flush(NULL, 0);
    assert_int_equal(noted, 1);
    assert_int_equal(rows[5].pattern.now[BREAKER_MESSAGES] + rows[5].pattern.before[BREAKER_MESSAGES], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_letter_to_many, set_up),
        cmocka_unit_test_setup(test_a_part_is_not_asked_about, set_up),
        cmocka_unit_test_setup(test_each_has_its_turn, set_up),
        cmocka_unit_test_setup(test_what_is_gone_is_forgotten, set_up),
        cmocka_unit_test_setup(test_an_address_that_comes_meanwhile, set_up),
        cmocka_unit_test_setup(test_a_country_that_could_not_be_noted, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
