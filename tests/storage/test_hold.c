/*
 * storage/hold and file against a real PostgreSQL: held mail is nobody's until its time, is filed once whatever the
 * server does, and only on a lease; and any number of held entries costs claims nothing.
 */
#include <signal.h>

#include "storage/file.h"
#include "storage/hold.h"
#include "storage/mailbox.h"
#include "storage/queue.h"
#include "tests/storage/letter.h"

#define MANY 20000

static const struct db_statement make_customer = {"test_make_customer",
                                                  "insert into customer (id, cell, name) values (1, 7, 'hold')"};
static const struct db_statement make_domain = {
    "test_make_domain",
    "insert into domain (id, cell, customer_id, name, kind) values (2, 7, 1, 'example.test', 'hosted')"};
static const struct db_statement make_account = {
    "test_make_account", "insert into account (id, cell, customer_id, domain_id, address, inbox_id)"
                         " values (1, 7, 1, 2, 'bob@example.test', 114701)"};
static const struct db_statement time_comes = {"test_time_comes", "update queue_entry set held_until = now()"};
static const struct db_statement be_closed = {"test_be_closed", "update account set state = 'closed'"};
static const struct db_statement be_open = {"test_be_open", "update account set state = 'active'"};
static const struct db_statement be_others = {"test_be_others", "update queue_entry set worker = 2 where worker = 1"};
static const struct db_statement be_ours = {"test_be_ours", "update queue_entry set worker = 1 where worker = 2"};
static const struct db_statement all_due = {"test_all_due", "update destination set due_at = now()"};
static const struct db_statement put_off = {
    "test_put_off", "update queue_entry set last_reply = '451 4.3.0 not now', due_at = now() - interval '1 ms'"};
static const struct db_statement cut_off = {
    "test_cut_off", "update queue_entry set last_reply = 'connection broken', due_at = now() - interval '1 ms'"};
static const struct db_statement count_in_place = {
    "test_count_in_place", "select count(*) from queue_entry"
                           " where due_at = timestamptz '2024-01-01 00:00Z' + (id >> 22) * interval '1 ms'"};
static const struct db_statement end_all = {"test_end_all", "delete from queue_entry"};
static const struct db_statement count_held = {"test_count_held",
                                               "select count(*) from queue_entry where held_until is not null"};
static const struct db_statement count_items = {"test_count_items", "select count(*) from mailbox_message"};
static const struct db_statement count_queued = {"test_count_queued", "select count(*) from queue_entry"};
static const struct db_statement count_filed = {"test_count_filed", "select count(*) from event where kind = 'filed'"};
static const struct db_statement destinations = {"test_destinations", "select count(*) from destination"};

static const int16_t cells[] = {CELL};

static struct letter *held_letter(enum hold_then then)
{
    struct letter *l = letter(0, true, 100);

    l->recipient.destination = QUEUE_DESTINATION_MAILBOX;
    l->recipient.account_id = 1;
    l->recipient.waiting = true;
    l->recipient.hold = (struct hold){
        .until_ms = clock_now_ms() + DAY_MS, .by = HOLD_BY_LIMIT, .then = then, .reason = SLICE("a test")};
    return l;
}

/* What a worker would get now. */
static AWAITS unsigned claim(int64_t *id)
{
    struct queue_claim_limits limits = {.per_destination = 100, .most = 500};
    struct queue_entry *list = NULL;
    unsigned count = 0;

    if (queue_claim(arena, cells, 1, &limits, &list, &count) != DB_FOUND)
        return 0;
    *id = list[0].id;
    return count;
}

static void is_nobodys_until_its_time(void *arg)
{
    struct letter *l = held_letter(HOLD_THEN_RELEASE);
    struct queue_entry *list = NULL;
    unsigned count;
    int64_t id = 0;

    (void)arg;
    expect(change(&make_customer) == DB_DONE && change(&make_domain) == DB_DONE && change(&make_account) == DB_DONE);
    expect(change(&make_mailboxes) == DB_DONE);
    accept_one(l);
    expect(l->answer == DB_DONE && l->recipient.entry_id && !l->recipient.uid);
    expect(number(&count_held) == 1 && number(&destinations) == 0 && number(&count_items) == 0);
    expect(hold_release_due(cells, 1, 100, &count) == DB_DONE && count == 0);
    expect(hold_claim_rejected(arena, cells, 1, 100, &list, &count) == DB_NONE);
    expect(claim(&id) == 0);
    expect(change(&time_comes) == DB_DONE);
    expect(hold_claim_rejected(arena, cells, 1, 100, &list, &count) == DB_NONE);
    expect(hold_release_due(cells, 1, 100, &count) == DB_DONE && count == 1);
    expect(hold_release_due(cells, 1, 100, &count) == DB_DONE && count == 0);
    expect(number(&count_held) == 0 && number(&destinations) == 1);
    expect(claim(&id) == 1 && id == l->recipient.entry_id);

    expect(change(&be_closed) == DB_DONE);
    expect(file_entries(&id, 1) == DB_REFUSED);
    expect(change(&be_open) == DB_DONE && change(&be_others) == DB_DONE);
    expect(file_entries(&id, 1) == DB_DONE); /* the lease is lost: nothing is done */
    expect(number(&count_items) == 0 && number(&count_queued) == 1);
    expect(change(&be_ours) == DB_DONE);
    expect(file_entries(&id, 1) == DB_DONE);
    expect(file_entries(&id, 1) == DB_DONE);
    expect(number(&count_items) == 1 && number(&count_queued) == 0 && number(&count_filed) == 1);
}

static void test_is_nobodys_until_its_time(void **state)
{
    (void)state;
    in_task(is_nobodys_until_its_time);
}

static void is_rejected(void *arg)
{
    struct letter *l = held_letter(HOLD_THEN_REJECT);
    struct queue_entry *list = NULL;
    unsigned count;
    int64_t id = 0;

    (void)arg;
    accept_one(l);
    expect(l->answer == DB_DONE && change(&time_comes) == DB_DONE);
    expect(hold_release_due(cells, 1, 100, &count) == DB_DONE && count == 0);
    expect(hold_claim_rejected(arena, cells, 1, 100, &list, &count) == DB_FOUND && count == 1);
    expect(list[0].id == l->recipient.entry_id);
    expect(hold_claim_rejected(arena, cells, 1, 100, &list, &count) == DB_NONE); /* leased */
    expect(queue_release(&l->recipient.entry_id, 1) == DB_DONE);
    expect(claim(&id) == 0); /* and is to be rejected still */
    expect(hold_claim_rejected(arena, cells, 1, 100, &list, &count) == DB_FOUND && count == 1);
    expect(change(&end_all) == DB_DONE);
}

static void test_is_rejected(void **state)
{
    (void)state;
    in_task(is_rejected);
}

/* Given back untried: what a reply had put off goes before what was accepted after it; what was cut off does not. */
static void is_given_back_to_its_place(void *arg)
{
    struct letter *l = letter(0, true, 100);
    int64_t id = 0;

    (void)arg;
    l->recipient.destination = QUEUE_DESTINATION_MAILBOX;
    l->recipient.account_id = 1;
    l->recipient.waiting = true;
    accept_one(l);
    expect(l->answer == DB_DONE && change(&cut_off) == DB_DONE && change(&all_due) == DB_DONE);
    expect(claim(&id) == 1 && queue_release(&id, 1) == DB_DONE && number(&count_in_place) == 0);
    expect(change(&put_off) == DB_DONE && change(&all_due) == DB_DONE);
    expect(claim(&id) == 1 && queue_release(&id, 1) == DB_DONE && number(&count_in_place) == 1);
    expect(claim(&id) == 1 && change(&end_all) == DB_DONE);
}

static void test_is_given_back_to_its_place(void **state)
{
    (void)state;
    in_task(is_given_back_to_its_place);
}

static void is_discarded(void *arg)
{
    struct letter *l = held_letter(HOLD_THEN_DISCARD);
    struct queue_entry *list = NULL;
    unsigned count;

    (void)arg;
    accept_one(l);
    expect(l->answer == DB_DONE);
    expect(hold_discard_due(cells, 1, 100, &count) == DB_DONE && count == 0); /* not yet */
    expect(change(&time_comes) == DB_DONE);
    expect(hold_release_due(cells, 1, 100, &count) == DB_DONE && count == 0);
    expect(hold_claim_rejected(arena, cells, 1, 100, &list, &count) == DB_NONE);
    expect(hold_discard_due(cells, 1, 100, &count) == DB_DONE && count == 1);
    expect(hold_discard_due(cells, 1, 100, &count) == DB_DONE && count == 0); /* it is gone */
}

static void test_is_discarded(void **state)
{
    (void)state;
    in_task(is_discarded);
}

/* ------------------------------------------------------------------ the server is killed under it */

static const struct db_statement slow_down = {"test_slow_down",
                                              "create function test_slow() returns trigger language plpgsql as"
                                              " $$ begin perform pg_sleep(1); return null; end $$"};
static const struct db_statement slow_filing = {
    "test_slow_filing",
    "create trigger test_slow after insert on mailbox_message for each statement execute function test_slow()"};
static const struct db_statement quick_again = {"test_quick_again", "drop trigger test_slow on mailbox_message"};
static const struct db_statement busy_pid = {
    "test_busy_pid",
    "select coalesce(max(pid), 0) from pg_stat_activity"
    " where query like 'insert into mailbox_message %' and state = 'active' and pid <> pg_backend_pid()"};

static int64_t leased;

static void lease_one(void *arg)
{
    struct letter *l = held_letter(HOLD_THEN_RELEASE);
    unsigned count;

    (void)arg;
    accept_one(l);
    expect(l->answer == DB_DONE && change(&time_comes) == DB_DONE);
    expect(hold_release_due(cells, 1, 100, &count) == DB_DONE && count == 1);
    expect(claim(&leased) == 1);
    expect(change(&slow_down) == DB_DONE && change(&slow_filing) == DB_DONE);
}

static void killer(void *arg)
{
    int64_t pid = 0;

    (void)arg;
    for (unsigned i = 0; i < 1000 && pid <= 0; i++) {
        task_sleep(10);
        pid = number(&busy_pid);
    }
    expect(pid > 0);
    expect(kill((pid_t)pid, SIGKILL) == 0);
}

static void file_it(void *arg)
{
    (void)arg;
    expect(file_entries(&leased, 1) == DB_DONE);
}

static void once(void *arg)
{
    (void)arg;
    expect(change(&quick_again) == DB_DONE);
    expect(number(&count_items) == 2 && number(&count_filed) == 2 && number(&count_queued) == 0);
}

static void test_filed_once_though_the_server_is_killed(void **state)
{
    (void)state;
    in_task(lease_one);
    begin_task(file_it, NULL);
    begin_task(killer, NULL);
    run_tasks();
    in_task(once);
}

/* ------------------------------------------------------------------ many */

static const struct db_statement make_message = {
    "test_make_message", "insert into message (cell, id, customer_id, sender, size, received_at, protocol)"
                         " values (7, 1, 1, '', 1, now(), 'LOCAL')"};
static const struct db_statement make_many = {
    "test_make_many",
    "insert into queue_entry (cell, id, message_id, recipient, destination, due_at, expires_at, held_until,"
    "                         held_by, held_reason, held_then)"
    " select 7, 1000 + n, 1, 'x@example.test', 'default', now(), now() + interval '1 day',"
    "        now() + interval '1 day', 'limit', '', 'reject' from generate_series(1, 20000) n"};
static const struct db_statement make_one = {
    "test_make_one", "insert into queue_entry (cell, id, message_id, recipient, destination, due_at, expires_at)"
                     " values (7, 999999999, 1, 'y@example.test', 'default', now(), now() + interval '1 day')"};
static const struct db_statement make_due = {"test_make_due",
                                             "insert into destination (cell, key, due_at) values (7, 'default', now())"
                                             " on conflict (cell, key) do update set due_at = now(), failures = 0"};
static const struct db_statement scanned = {"test_scanned",
                                            "select coalesce(sum(idx_tup_read), 0)::bigint from pg_stat_user_indexes"
                                            " where indexrelname = 'queue_entry_waiting'"};

/* While one transaction has the first of two leased entries, who renews both waits for it and has not the second. */
static int64_t pair[2];
static enum db_write crossed;
static const struct db_statement lock_first = {"test_lock_first",
                                               "select from queue_entry where id = $1::bigint for update"};
static const struct db_statement wait_for_waiter = {
    "test_wait_for_waiter", "select count(pg_sleep(0.01)) from generate_series(1, 800) g"
                            " where (select count(*) from pg_locks where not granted and g > 0) = 0"};
static const struct db_statement count_waiting = {
    "test_count_waiting", "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()"
                          "   and query like 'select count(pg_sleep%'"};
static const struct db_statement lock_second = {"test_lock_second",
                                                "select from queue_entry where id = $1::bigint for update nowait"};

static void cross(void *arg)
{
    struct db_unit *unit = db_unit_new(arena);

    (void)arg;
    params_int64(db_unit_add(unit, &lock_first), pair[0]);
    db_unit_add(unit, &wait_for_waiter);
    params_int64(db_unit_add(unit, &lock_second), pair[1]);
    crossed = db_unit_run(unit);
}

static void are_locked_in_order(void *arg)
{
    int64_t backwards[2] = {0, 0}, id = 0;
    unsigned count = 2;

    (void)arg;
    for (unsigned i = 0; i < 2; i++) {
        struct letter *l = held_letter(HOLD_THEN_RELEASE);

        l->recipient.hold = (struct hold){0};
        accept_one(l);
        expect(l->answer == DB_DONE);
        pair[i] = l->recipient.entry_id;
    }
    expect(pair[0] < pair[1] && claim(&id) == 2);
    backwards[0] = pair[1];
    backwards[1] = pair[0];
    begin_task(cross, NULL);
    while (number(&count_waiting) == 0) /* it has the first */
        task_sleep(10);
    expect(queue_renew(backwards, &count) == DB_DONE && count == 2);
    while (running_tasks > 1)
        task_sleep(10);
    expect(crossed == DB_DONE && change(&end_all) == DB_DONE);
}

static void test_leases_are_locked_in_order(void **state)
{
    (void)state;
    in_task(are_locked_in_order);
}

static void many_cost_nothing(void *arg)
{
    int64_t id = 0, before;

    (void)arg;
    expect(change(&make_message) == DB_DONE && change(&make_many) == DB_DONE && change(&make_one) == DB_DONE);
    expect(number(&count_held) == MANY);
    expect(change(&make_due) == DB_DONE);
    expect(claim(&id) == 1 && id == 999999999);
    task_sleep(1500); /* until the statistics are told */
    before = number(&scanned);
    for (unsigned i = 0; i < 20; i++) {
        expect(change(&all_due) == DB_DONE);
        expect(claim(&id) == 0);
    }
    task_sleep(1500);
    expect(number(&scanned) - before < 1000);
}

static void test_many_cost_nothing(void **state)
{
    (void)state;
    in_task(many_cost_nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_nobodys_until_its_time),
        cmocka_unit_test(test_is_rejected),
        cmocka_unit_test(test_is_given_back_to_its_place),
        cmocka_unit_test(test_is_discarded),
        cmocka_unit_test(test_filed_once_though_the_server_is_killed),
        cmocka_unit_test(test_leases_are_locked_in_order),
        cmocka_unit_test(test_many_cost_nothing),
    };

    if (!getenv("POSTHOUSE_TEST_CONNINFO"))
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, harness_begin, harness_end);
}
