/*
 * runner_share: customers take turns at a destination, each with its own mail by priority and age; held against a model
 * in random worlds of two destinations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/runner_memory.h"
#include "daemon/runner_share.h"

#define CUSTOMERS 5
#define ENTRIES 400

static struct runner_message messages[CUSTOMERS];
static struct runner_entry entries[ENTRIES];
static struct runner_destination destinations[2];

static void new_world(void)
{
    memset(entries, 0, sizeof entries);
    memset(destinations, 0, sizeof destinations);
    for (unsigned i = 0; i < CUSTOMERS; i++)
        messages[i] = (struct runner_message){.customer_id = 100 + i};
}

static struct runner_entry *put(unsigned id, unsigned customer, int priority)
{
    entries[id] = (struct runner_entry){
        .id = id, .message = &messages[customer], .destination = &destinations[0], .priority = priority};
    runner_entry_put(&entries[id]);
    return &entries[id];
}

/* As a lane does. */
static int64_t serve(struct runner_destination *d)
{
    struct runner_entry *e = runner_share_first(d);

    if (!e)
        return -1;
    runner_entry_take(e);
    runner_share_pass(d, e->message->customer_id);
    return e->id;
}

static void assert_served(const int64_t *ids, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(serve(&destinations[0]), ids[i]);
    assert_int_equal(serve(&destinations[0]), -1);
    assert_null(destinations[0].turn);
    assert_int_equal(destinations[0].pending, 0);
}

static void test_one_customers_mail_goes_by_priority_and_age(void **state)
{
    (void)state;
    new_world();
    put(3, 0, 0);
    put(1, 0, 0);
    put(4, 0, 2);
    put(2, 0, -1);
    assert_served((const int64_t[]){4, 1, 3, 2}, 4);
}

static void test_customers_take_turns(void **state)
{
    (void)state;
    new_world();
    for (unsigned id = 1; id <= 5; id++)
        put(id, 0, 0);
    put(6, 1, 0);
    put(7, 2, 0);
    put(8, 1, 0);
    assert_served((const int64_t[]){1, 6, 7, 2, 8, 3, 4, 5}, 8);
}

static void test_urgent_mail_goes_before_its_own_customers_only(void **state)
{
    (void)state;
    new_world();
    put(1, 0, 0);
    put(2, 1, 0);
    put(3, 1, 9);
    put(4, 0, 0);
    assert_served((const int64_t[]){1, 3, 4, 2}, 4);
}

/* The share of the customer that was served is gone: nobody else loses a turn by that. */
static void test_a_last_entry_passes_the_turn_once(void **state)
{
    (void)state;
    new_world();
    put(1, 0, 0);
    put(2, 1, 0);
    put(3, 2, 0);
    put(4, 1, 0);
    assert_served((const int64_t[]){1, 2, 3, 4}, 4);
}

static void count_each(struct runner_entry *entry, void *arg)
{
    assert_true(entry->pending);
    ++*(unsigned *)arg;
}

/*
 * In any world: nothing is lost, a customer is served again only after each other that had mail was, and what is
 * served is the first of its customer's.
 */
static void test_random_worlds(void **state)
{
    (void)state;
    srand(17);
    for (unsigned world = 0; world < 200; world++) {
        unsigned pending = 0, next = 0, since[CUSTOMERS] = {0}, has[CUSTOMERS] = {0};

        new_world();
        for (unsigned step = 0; step < 2 * ENTRIES; step++) {
            if (next < ENTRIES && rand() % 2) {
                unsigned customer = (unsigned)rand() % CUSTOMERS, seen = 0;

                put(next++, customer, rand() % 3 - 1);
                pending++;
                if (!has[customer]++)
                    since[customer] = 0;
                runner_share_each(&destinations[0], count_each, &seen);
                assert_int_equal(seen, pending);
                continue;
            }
            int64_t id = serve(&destinations[0]);

            if (id < 0) {
                assert_int_equal(pending, 0);
                continue;
            }
            unsigned customer = (unsigned)(entries[id].message - messages);

            pending--;
            has[customer]--;
            for (unsigned i = 0; i < next; i++)
                if (entries[i].pending && entries[i].message == &messages[customer])
                    assert_true(entries[i].priority < entries[id].priority ||
                                (entries[i].priority == entries[id].priority && i > id));
            for (unsigned c = 0; c < CUSTOMERS; c++)
                if (c == customer || !has[c])
                    since[c] = 0;
                else
                    assert_true(++since[c] < CUSTOMERS);
            assert_int_equal(destinations[0].pending, pending);
        }
        while (serve(&destinations[0]) >= 0)
            ;
    }
}

static void test_destinations_do_not_share(void **state)
{
    struct runner_entry other = {.id = 9, .message = &messages[0], .destination = &destinations[1]};

    (void)state;
    new_world();
    put(1, 0, 0);
    runner_entry_put(&other);
    assert_int_equal(serve(&destinations[0]), 1);
    assert_int_equal(serve(&destinations[0]), -1);
    assert_int_equal(serve(&destinations[1]), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_customers_mail_goes_by_priority_and_age),
        cmocka_unit_test(test_customers_take_turns),
        cmocka_unit_test(test_urgent_mail_goes_before_its_own_customers_only),
        cmocka_unit_test(test_a_last_entry_passes_the_turn_once),
        cmocka_unit_test(test_random_worlds),
        cmocka_unit_test(test_destinations_do_not_share),
    };

    return cmocka_run_group_tests_name("daemon/runner_share", tests, NULL, NULL);
}
