/* storage/cache: what is remembered costs no round trip, what was changed is not answered, and memory is bounded. */
#include "storage/cache.h"

#include "harness.h"
#include "storage/directory.h"

static const struct db_statement add_customer = {"t_customer",
                                                 "insert into customer (id, cell, name) values (1, 3, 'cached')"};
static const struct db_statement add_domain = {
    "t_domain", "insert into domain (id, cell, customer_id, name, kind) values (2, 3, 1, 'cached.test', 'hosted')"};
static const struct db_statement add_account = {
    "t_account", "insert into account (id, cell, customer_id, domain_id, address, inbox_id)"
                 " values (3, 3, 1, 2, 'ann@cached.test', 4)"};
static const struct db_statement add_other = {
    "t_other", "insert into account (id, cell, customer_id, domain_id, address, inbox_id)"
               " values (5, 3, 1, 2, 'late@cached.test', 6)"};
static const struct db_statement suspend = {"t_suspend", "update customer set state = 'suspended' where id = 1"};
static const struct db_statement activate = {"t_activate", "update customer set state = 'active' where id = 1"};
static const struct db_statement open_outage = {
    "t_outage", "insert into outage (cell, id, domain_id, started_at, reason) values (3, 7, 2, now(), 'test')"};
static const struct db_statement count_silently = {"t_silently",
                                                   "update directory_change set number = number + 1 where slot = 0"};

#define ASKED_AT_ONCE 1000
#define FOREVER_MS 60000

static uint64_t give_up_ms;

static AWAITS bool ask(const char *address, struct directory_recipient *out)
{
    struct arena *own = arena_new(SIZE_MAX);
    bool found = directory_recipient(own, slice_str(address), out) == DB_FOUND;

    arena_free(&own); /* values only are looked at */
    return found;
}

static uint64_t hits(void)
{
    struct cache_counters now;

    cache_counters(&now);
    return now.hits;
}

/* The next time that this is asked memory answers. */
static AWAITS bool warm(const char *address)
{
    struct directory_recipient found;

    for (uint64_t before = hits(); clock_steady_ms() < give_up_ms; task_sleep(5))
        if (!ask(address, &found) || hits() > before)
            return hits() > before;
    return false;
}

static void prepared(void *arg)
{
    (void)arg;
    give_up_ms = clock_steady_ms() + FOREVER_MS;
    expect(change(&add_customer) == DB_DONE && change(&add_domain) == DB_DONE && change(&add_account) == DB_DONE);
}

static void nothing_is_sent(void *arg)
{
    struct directory_recipient found;
    struct db_counters before, after;

    (void)arg;
    expect(warm("ann@cached.test") && warm("nobody@cached.test") && warm("joe@elsewhere.test"));
    db_counters(&before);
    for (unsigned i = 0; i < ASKED_AT_ONCE; i++) {
        expect(ask("Ann@cached.test", &found) && found.has_account && found.account.id == 3 && found.domain.id == 2);
        expect(ask("nobody@cached.test", &found) && found.has_domain && !found.has_account);
        expect(ask("joe@elsewhere.test", &found) && !found.has_domain);
    }
    db_counters(&after);
    expect(after.units == before.units);
}

static void changes_are_seen(void *arg)
{
    struct directory_recipient found;

    (void)arg;
    expect(warm("late@cached.test") && warm("ann@cached.test"));
    expect(change(&add_other) == DB_DONE);
    do {
        task_sleep(1);
        expect(ask("late@cached.test", &found) && clock_steady_ms() < give_up_ms);
    } while (!found.has_account);
    expect(warm("ann@cached.test") && change(&suspend) == DB_DONE);
    do {
        task_sleep(1);
        expect(ask("ann@cached.test", &found) && clock_steady_ms() < give_up_ms);
    } while (found.domain.customer_active || found.account.state != DIRECTORY_SUSPENDED);
    expect(change(&activate) == DB_DONE);
    expect(warm("ann@cached.test") && change(&open_outage) == DB_DONE);
    do {
        task_sleep(1);
        expect(ask("ann@cached.test", &found) && clock_steady_ms() < give_up_ms);
    } while (found.domain.outage_id != 7);
}

static void a_lost_notification_costs_little(void *arg)
{
    struct cache_counters before, after;

    (void)arg;
    expect(warm("ann@cached.test"));
    cache_counters(&before);
    expect(change(&count_silently) == DB_DONE);
    do {
        expect(warm("ann@cached.test") && clock_steady_ms() < give_up_ms);
        cache_counters(&after);
    } while (after.drops == before.drops);
}

/* What another process of this node does after its commit. */
static void what_was_changed_here_is_known_at_once(void *arg)
{
    struct directory_recipient found;

    (void)arg;
    expect(warm("ann@cached.test"));
    uint64_t before = hits();
    cache_outdate();
    expect(ask("ann@cached.test", &found) && found.has_account && hits() == before);
}

static void memory_is_bounded(void *arg)
{
    struct directory_recipient found;
    struct cache_counters now;
    char address[64];

    (void)arg;
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(address, sizeof address, "guess%u@cached.test", i);
        expect(ask(address, &found) && found.has_domain && !found.has_account);
        cache_counters(&now);
        expect(now.bytes <= 256 * 1024);
    }
    expect(now.entries > 10 && now.entries < 2000);
    expect(warm("ann@cached.test"));
}

static void nothing_is_trusted_for_ever(void *arg)
{
    struct directory_recipient found;

    (void)arg;
    expect(warm("ann@cached.test"));
    db_close(); /* the database is gone for good */
    do {
        expect(clock_steady_ms() < give_up_ms);
        task_sleep(5);
    } while (ask("ann@cached.test", &found));
    cache_close();
    task_sleep(1); /* the poller, which was woken, ends in its next turn */
}

#define TEST(name)                                                                                                     \
    static void test_##name(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        in_task(name);                                                                                                 \
    }
TEST(nothing_is_sent)
TEST(changes_are_seen)
TEST(a_lost_notification_costs_little)
TEST(what_was_changed_here_is_known_at_once)
TEST(memory_is_bounded)

static void test_nothing_is_trusted_for_ever(void **state)
{
    (void)state;
    in_task(nothing_is_trusted_for_ever);
}

static int begin(void **state)
{
    harness_begin(state);
    cache_share();
    cache_open(256 * 1024);
    in_task(prepared);
    return 0;
}

static int end(void **state)
{
    cache_close();
    return harness_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_sent),
        cmocka_unit_test(test_changes_are_seen),
        cmocka_unit_test(test_a_lost_notification_costs_little),
        cmocka_unit_test(test_what_was_changed_here_is_known_at_once),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_nothing_is_trusted_for_ever),
    };
    if (!getenv("POSTHOUSE_TEST_CONNINFO"))
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, begin, end);
}
