/* storage/node: what a dead worker held is freed at once, what a living one holds is not (node_bury). */
#include "storage/node.h"

#include "harness.h"

#define HOST "node.test"

static const struct db_statement leased_entries = {"t_leased",
                                                   "select count(*) from queue_entry where worker is not null"};
static const struct db_statement due_destinations = {
    "t_due", "select count(*) from destination where key = 'host:x' and due_at <= now()"};
static const struct db_statement leased_cells = {"t_cells", "select count(*) from cell_lease where worker is not null"};
static const struct db_statement long_numbers = {
    "t_numbers", "select count(*) from worker where delivers and lease_until > now() + interval '3 seconds'"};
static const struct db_statement add_message = {
    "t_message",
    "insert into message (cell, id, customer_id, sender, size, eight_bit, received_at, client, helo, protocol, tls)"
    " values (3, 1, 1, '', 1, false, now(), '', '', '', '')"};
static const struct db_statement add_entry = {
    "t_entry",
    "insert into queue_entry (cell, id, message_id, recipient, destination, due_at, expires_at, shown, worker, lease_until)"
    " select 3, 1, 1, 'x@y.test', 'host:x', now(), now() + interval '1 day', false, number, now() + interval '1 hour'"
    "   from worker"};

static void registered(void *arg)
{
    (void)arg;
    expect(node_register(HOST) == DB_DONE);
    expect(change(&add_message) == DB_DONE);
    expect(change(&add_entry) == DB_DONE);
    expect(number(&leased_entries) == 1 && number(&leased_cells) == 256 && number(&long_numbers) == 1);
}

static void others(void *arg)
{
    struct node_identity other[4];

    (void)arg;
    for (unsigned i = 0; i < 4; i++)
        other[i] = node_identity();
    other[0].started_ms++; /* one that had our number before */
    other[1].pid++;
    other[2].number = (other[2].number + 1) % 1024;
    for (unsigned i = 0; i < 3; i++)
        expect(node_bury(HOST, other[i]) == DB_DONE);
    expect(node_bury("another.test", other[3]) == DB_DONE);
    expect(number(&leased_entries) == 1 && number(&leased_cells) == 256 && number(&long_numbers) == 1);
    expect(node_renew() == DB_DONE);
}

static void ourselves(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 2; i++) { /* it may be repeated */
        expect(node_bury(HOST, node_identity()) == DB_DONE);
        expect(number(&leased_entries) == 0 && number(&leased_cells) == 0 && number(&long_numbers) == 0);
        expect(number(&due_destinations) == 1);
    }
}

static void test_nobody_but_the_dead_is_buried(void **state)
{
    (void)state;
    in_task(registered);
    in_task(others);
}

static void test_what_the_dead_held_is_free(void **state)
{
    (void)state;
    in_task(ourselves);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_but_the_dead_is_buried),
        cmocka_unit_test(test_what_the_dead_held_is_free),
    };
    if (!getenv("POSTHOUSE_TEST_CONNINFO"))
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, harness_begin, harness_end);
}
