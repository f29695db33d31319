/*
 * storage/stand_in against a real PostgreSQL: the same name has the same one to stand in for it, all of the domain's
 * accounts do, in about equal parts and whenever they were made, and a new hash of one is that of all its names.
 */
#include "storage/stand_in.h"
#include "tests/storage/harness.h"

#define NAMES 2000
#define ACCOUNTS 40 /* of the domain; the last one was made much later than the rest */

static const struct db_statement make_customer = {
    "test_make_customer", "insert into customer (id, cell, name) values (131100, 8, 'stand-in')"};
static const struct db_statement make_domains = {
    "test_make_domains", "insert into domain (id, cell, customer_id, name, kind, target_id) values"
                         " (131101, 8, 131100, 'some.test', 'hosted', null),"
                         " (131102, 8, 131100, 'empty.test', 'hosted', null),"
                         " (131103, 8, 131100, 'same.test', 'alias', 131101)"};
static const struct db_statement make_accounts = {
    "test_make_accounts",
    "insert into account (id, cell, customer_id, domain_id, address, inbox_id, password_hash)"
    " select case when i < 40 then 200000 + i else 9000000000000000 end, 8, 131100, 131101, 'a' || i || '@some.test', i,"
    "        'hash' || i from generate_series(1, 40) i"};
static const struct db_statement upgrade = {"test_upgrade",
                                            "update account set password_hash = 'new' where address = 'a15@some.test'"};
static const struct db_statement no_hash = {"test_no_hash",
                                            "update account set password_hash = null where address = 'a8@some.test'"};

/* Which account's hash it is; 0: one without, -1: there is none, or it is no such hash. */
static AWAITS int who(const char *domain, unsigned name)
{
    struct slice hash;

    if (stand_in_hash(arena, slice_str(arena_printf(arena, "N%u@%s", name, domain)), &hash) != DB_FOUND)
        return -1;
    if (!hash.p)
        return 0;
    if (slice_equal(hash, SLICE("new")))
        return 15;
    return hash.n > 4 ? atoi(arena_slicedup(arena, slice_skip(hash, 4))) : -1;
}

static int first[NAMES];

static void drawn(void *arg)
{
    unsigned times[ACCOUNTS + 1] = {0};

    (void)arg;
    expect(change(&make_customer) == DB_DONE && change(&make_domains) == DB_DONE && change(&make_accounts) == DB_DONE);
    for (unsigned i = 0; i < NAMES; i++) {
        first[i] = who("some.test", i);
        expect(first[i] > 0 && first[i] <= ACCOUNTS);
        times[first[i]]++;
    }
    for (unsigned i = 1; i <= ACCOUNTS; i++)
        expect(times[i] < NAMES / 4); /* a gap of ids would have nearly all */
    for (unsigned i = 0; i < 100; i++)
        expect(who("some.test", i) == first[i] && who("SAME.test", i) > 0);
    expect(who("empty.test", 1) == -1 && who("nowhere.test", 1) == -1);
    struct slice hash;
    expect(stand_in_hash(arena, SLICE("no address"), &hash) == DB_NONE && !hash.p);
    expect(stand_in_hash(arena, SLICE("\xff@some.test"), &hash) == DB_NONE);
}

static void changed(void *arg)
{
    unsigned new = 0, none = 0; /* 15 and 8 have the widest gaps before them: ids are fixed, so is hashint8() */

    (void)arg;
    expect(change(&upgrade) == DB_DONE && change(&no_hash) == DB_DONE);
    for (unsigned i = 0; i < NAMES; i++) {
        new += first[i] == 15;
        none += first[i] == 8;
        expect(who("some.test", i) == (first[i] == 8 ? 0 : first[i]));
    }
    expect(new &&none);
}

static void test_each_stands_in_for_some(void **state)
{
    (void)state;
    in_task(drawn);
}

static void test_a_new_hash_is_all_names(void **state)
{
    (void)state;
    in_task(changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_stands_in_for_some),
        cmocka_unit_test(test_a_new_hash_is_all_names),
    };
    if (!getenv("POSTHOUSE_TEST_CONNINFO"))
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, harness_begin, harness_end);
}
