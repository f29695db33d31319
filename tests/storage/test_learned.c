/*
 * storage/learned against a real PostgreSQL: what is noted is found, for domains that learn; a fact is not written
 * again while it is young; there is room for so many and no more; a primary that takes everything teaches nothing until
 * it refuses; and maintenance drops what is long past, but not in an outage.
 */
#include "storage/learned.h"
#include "storage/maintenance.h"
#include "tests/storage/harness.h"

#define CELL 7
/* Ids carry their cell (core/id.h): 7 << 14 and something. */
#define LEARNS 114701
#define ANY 114702
#define WEEK_MS INT64_C(604800000)
#define HOUR_MS INT64_C(3600000)

static const int16_t cells[] = {CELL};

static const struct db_statement make_customer = {
    "test_make_customer", "insert into customer (id, cell, name) values (114700, 7, 'learning')"};
static const struct db_statement make_domains = {
    "test_make_domains", "insert into domain (id, cell, customer_id, name, kind, recipients) values"
                         " (114701, 7, 114700, 'learns.test', 'relay', 'learned'),"
                         " (114702, 7, 114700, 'any.test', 'relay', 'any')"};
static const struct db_statement rows = {"test_rows", "select count(*) from recipient_learned"};
static const struct db_statement valid_rows = {"test_valid_rows", "select count(*) from recipient_learned where valid"};
static const struct db_statement nothing = {"test_nothing", "delete from recipient_learned"};
static const struct db_statement no_probe = {"test_no_probe", "delete from recipient_probe"};
static const struct db_statement young = {
    "test_young",
    "update recipient_learned set learned_at = learned_at - interval '1 day', until = until - interval '1 day'"};
static const struct db_statement aged = {
    "test_aged",
    "update recipient_learned set learned_at = learned_at - interval '3 days', until = until - interval '3 days'"};
static const struct db_statement long_past = {
    "test_long_past", "update recipient_learned set until = now() - case when address like 'old%'"
                      " then interval '40 days' else interval '20 days' end"};
static const struct db_statement begin_outage = {
    "test_begin_outage",
    "insert into outage (cell, id, domain_id, started_at, reason) values (7, 114710, 114701, now(), 'x')"};
static const struct db_statement finish_outage = {"test_finish_outage", "update outage set ended_at = now()"};

static AWAITS bool told(int64_t domain_id, const char *address, bool valid)
{
    const struct learned_fact fact = {domain_id, slice_str(address), valid};

    return learned_note(&fact, 1) == DB_DONE;
}

static AWAITS struct learned known(const char *address)
{
    struct slice asked = slice_str(address);
    struct learned out = {0};

    if (learned_find(arena, LEARNS, &asked, 1, true, &out) != DB_FOUND)
        abort();
    return out;
}

static void note_and_find(void *arg)
{
    const struct learned_fact twice[] = {{LEARNS, SLICE("x@learns.test"), true},
                                         {LEARNS, SLICE("X@learns.test"), false}};

    (void)arg;
    expect(change(&make_customer) == DB_DONE && change(&make_domains) == DB_DONE);
    expect(!known("ann@learns.test").known && known("ann@learns.test").all_until_ms == INT64_MIN);
    expect(told(LEARNS, "Ann@learns.test", true) && told(LEARNS, "no@learns.test", false) &&
           told(ANY, "ann@any.test", true));
    expect(number(&rows) == 2); /* not of a domain that does not learn */
    struct learned ann = known("ANN@learns.test"), no = known("no@learns.test");
    expect(ann.known && ann.valid && ann.until_ms - ann.learned_ms == WEEK_MS);
    expect(no.known && !no.valid && no.until_ms - no.learned_ms == HOUR_MS);
    expect(!no.accepts_all && no.all_until_ms > clock_now_ms());                /* it has refused one */
    expect(learned_note(twice, 2) == DB_DONE && !known("x@learns.test").valid); /* the last word counts */
    expect(told(LEARNS, "no@learns.test", true) && known("no@learns.test").valid);
}

static void age_and_renewal(void *arg)
{
    (void)arg;
    expect(change(&nothing) == DB_DONE && told(LEARNS, "ann@learns.test", true));
    expect(change(&young) == DB_DONE);
    int64_t before = known("ann@learns.test").until_ms;
    expect(told(LEARNS, "ann@learns.test", true) && known("ann@learns.test").until_ms == before);
    expect(change(&aged) == DB_DONE && told(LEARNS, "ann@learns.test", true));
    expect(known("ann@learns.test").until_ms > before);
}

static void room(void *arg)
{
    (void)arg;
    expect(change(&nothing) == DB_DONE);
    for (unsigned i = 0; i < 25; i++)
        expect(told(LEARNS, arena_printf(arena, "user%u@learns.test", i), true) &&
               told(LEARNS, arena_printf(arena, "no%u@learns.test", i), false));
    expect(number(&rows) == 22 && number(&valid_rows) == 20);
    expect(told(LEARNS, "user3@learns.test", false) &&
           !known("user3@learns.test").valid); /* who is known is known anew */
}

static void everything(void *arg)
{
    (void)arg;
    expect(change(&nothing) == DB_DONE && change(&no_probe) == DB_DONE);
    expect(learned_note_accepts_all(LEARNS, true) == DB_DONE && known("x@learns.test").accepts_all);
    expect(told(LEARNS, "ann@learns.test", true) && number(&rows) == 0);
    expect(told(LEARNS, "no@learns.test", false) && number(&rows) == 1);
    expect(!known("x@learns.test").accepts_all);
    expect(told(LEARNS, "ann@learns.test", true) && number(&rows) == 2);
}

static void maintain(void *arg)
{
    (void)arg;
    expect(change(&nothing) == DB_DONE);
    expect(told(LEARNS, "ann@learns.test", true) && told(LEARNS, "old@learns.test", true) &&
           told(LEARNS, "no@learns.test", false));
    expect(change(&long_past) == DB_DONE && change(&begin_outage) == DB_DONE);
    maintenance_run(cells, 1, HOUR_MS);
    expect(number(&rows) == 3); /* frozen */
    expect(change(&finish_outage) == DB_DONE);
    maintenance_run(cells, 1, HOUR_MS);
    expect(number(&rows) == 1 && known("ann@learns.test").known);
}

static void test_what_is_noted_is_found(void **state)
{
    (void)state;
    in_task(note_and_find);
}

static void test_it_is_written_again_when_it_is_old(void **state)
{
    (void)state;
    in_task(age_and_renewal);
}

static void test_there_is_so_much_room(void **state)
{
    (void)state;
    in_task(room);
}

static void test_who_takes_everything_teaches_nothing(void **state)
{
    (void)state;
    in_task(everything);
}

static void test_maintenance_drops_what_is_past(void **state)
{
    (void)state;
    in_task(maintain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_noted_is_found),
        cmocka_unit_test(test_it_is_written_again_when_it_is_old),
        cmocka_unit_test(test_there_is_so_much_room),
        cmocka_unit_test(test_who_takes_everything_teaches_nothing),
        cmocka_unit_test(test_maintenance_drops_what_is_past),
    };
    if (!getenv("POSTHOUSE_TEST_CONNINFO"))
        return EXIT_SKIPPED;
    learned_configure(&(struct learned_settings){WEEK_MS, HOUR_MS, 20});
    return cmocka_run_group_tests(tests, harness_begin, harness_end);
}
