/*
 * storage/accept, body, and maintenance against a real PostgreSQL: what is accepted is there, once, with its UIDs; one
 * bad request does not spoil its neighbours; a server killed under a batch loses nothing that was answered DONE; bodies
 * go when nothing refers to them, and not before.
 */
#include <signal.h>

#include "storage/body.h"
#include "storage/mailbox.h"
#include "storage/maintenance.h"
#include "tests/storage/letter.h"

#define LONG (BODY_CHUNK * 2 + 1000)

static const struct db_statement count_messages = {"test_count_messages",
                                                   "select count(*) from message where cell = 7"};
static const struct db_statement count_bodies = {"test_count_bodies",
                                                 "select count(*) from message_body where cell = 7"};
static const struct db_statement count_gone = {"test_count_gone",
                                               "select count(*) from message where cell = 7 and body_gone"};
static const struct db_statement count_listed = {"test_count_listed",
                                                 "select count(*) from message_release where cell = 7"};
static const struct db_statement count_entries = {
    "test_count_entries", "select count(*) from queue_entry where cell = 7 and worker = 1 and lease_until > now()"};
static const struct db_statement uids_are_whole = {
    "test_uids_are_whole", "select count(*) from mailbox m where cell = 7 and uidnext <> 1 +"
                           " (select count(*) from mailbox_message i where i.cell = 7 and i.mailbox_id = m.id)"};

/* ------------------------------------------------------------------ bodies and rows */

static void one_of_each(void *arg)
{
    struct letter *small = letter(INBOX, false, 400), *large = letter(0, true, LONG), *both = letter(INBOX, true, 0);
    struct slice head;
    struct spool *back;

    (void)arg;
    expect(change(&make_mailboxes) == DB_DONE);
    accept_one(small);
    accept_one(large);
    accept_one(both);
    expect(small->answer == DB_DONE && large->answer == DB_DONE && both->answer == DB_DONE);
    expect(small->recipient.uid == 1 && small->recipient.uidvalidity == 5 && !small->recipient.entry_id);
    expect(large->recipient.entry_id && !large->recipient.uid);
    expect(both->recipient.uid == 2 && both->recipient.entry_id);
    expect(number(&count_messages) == 3 && number(&count_entries) == 2);

    expect(body_read(arena, small->message.id, 0, &head) == DB_FOUND);
    expect(head.n == small->message.prefix.n + 400);
    expect(memcmp(head.p, "Received: by test\r\nax", 21) == 0);
    expect(body_read(arena, small->message.id, head.n, &head) == DB_NONE);
    expect(body_load(large->message.id, &back) == DB_FOUND);
    expect(spool_size(back) == large->message.prefix.n + spool_size(large->message.spool));
    spool_unref(&back);
    expect(body_read(arena, id_make(CELL), 0, &head) == DB_NONE);

    const int64_t several[] = {large->message.id, id_make(CELL), small->message.id, small->message.id};
    struct slice packed[4];
    expect(body_read_first(arena, several, 4, packed) == DB_FOUND);
    expect(packed[0].p && !packed[1].p && slice_equal(packed[2], packed[3]));
    head = body_unpack(arena, packed[2]);
    expect(head.n == small->message.prefix.n + 400 && memcmp(head.p, "Received: by test\r\nax", 21) == 0);
}

static void test_what_is_accepted_is_there(void **state)
{
    (void)state;
    in_task(one_of_each);
}

/* ------------------------------------------------------------------ batches */

static void whole(void *arg)
{
    (void)arg;
    expect(number(&uids_are_whole) == 0);
}

static void test_one_bad_request_spoils_no_other(void **state)
{
    struct letter *letters[60];
    struct accept_counters before, after;

    (void)state;
    accept_counters(&before);
    for (unsigned i = 0; i < 60; i++) {
        letters[i] = letter(i == 20 ? NOWHERE : i % 2 ? INBOX : OTHER, false, 1000);
        begin_task(accept_one, letters[i]);
    }
    run_tasks();
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(letters[i]->answer, i == 20 ? DB_REFUSED : DB_DONE);
    accept_counters(&after);
    assert_int_equal(after.messages - before.messages, 59);
    assert_true(after.largest_batch > 1);
    in_task(whole);
}

/* ------------------------------------------------------------------ the server is killed under it */

static const struct db_statement slow_down = {"test_slow_down",
                                              "create function test_slow() returns trigger language plpgsql as"
                                              " $$ begin perform pg_sleep(1); return null; end $$"};
static const struct db_statement slow_events = {
    "test_slow_events",
    "create trigger test_slow after insert on message for each statement execute function test_slow()"};
static const struct db_statement quick_again = {"test_quick_again", "drop trigger test_slow on message"};
static const struct db_statement busy_pid = {
    "test_busy_pid", "select coalesce(max(pid), 0) from pg_stat_activity"
                     " where query like 'insert into message %' and state = 'active' and pid <> pg_backend_pid()"};

static void slow(void *arg)
{
    (void)arg;
    expect(change(&slow_down) == DB_DONE);
    expect(change(&slow_events) == DB_DONE);
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

static void quick(void *arg)
{
    (void)arg;
    expect(change(&quick_again) == DB_DONE);
    expect(number(&uids_are_whole) == 0);
}

/* accept_commit() finds out how it ended: here that it did not, and so it does it again. */
static void test_killed_under_a_batch(void **state)
{
    struct letter *letters[10];

    (void)state;
    in_task(slow);
    for (unsigned i = 0; i < 10; i++) {
        letters[i] = letter(INBOX, true, 500);
        begin_task(accept_one, letters[i]);
    }
    begin_task(killer, NULL);
    run_tasks();
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(letters[i]->answer, DB_DONE);
        assert_true(letters[i]->recipient.uid > 0);
    }
    in_task(quick);
}

/* ------------------------------------------------------------------ purging */

static void purge(void *arg)
{
    static const int16_t cells[] = {CELL};
    struct letter *kept = letter(INBOX, false, LONG);
    int64_t bodies, gone, first_uid;
    unsigned copied;

    (void)arg;
    bodies = number(&count_bodies);
    gone = number(&count_gone);
    accept_one(kept);
    expect(kept->answer == DB_DONE);
    expect(number(&count_bodies) == bodies + 3);

    /* Two references; one goes: the body stays, and the list is empty again. */
    expect(copy_them(INBOX, &kept->recipient.uid, 1, OTHER, &first_uid, &copied) == DB_DONE && copied == 1);
    expect(mailbox_expunge(INBOX, &kept->recipient.uid, 1, false) == DB_DONE);
    expect(number(&count_listed) == 1);
    maintenance_run(cells, 1, DAY_MS);
    expect(number(&count_listed) == 0);
    expect(number(&count_bodies) == bodies + 3);

    /* The other goes, too. */
    expect(mailbox_expunge(OTHER, &first_uid, 1, false) == DB_DONE);
    maintenance_run(cells, 1, DAY_MS);
    expect(number(&count_listed) == 0);
    expect(number(&count_bodies) == bodies);
    expect(number(&count_gone) == gone + 1);
}

static void test_bodies_go_with_their_last_reference(void **state)
{
    (void)state;
    in_task(purge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_accepted_is_there),
        cmocka_unit_test(test_one_bad_request_spoils_no_other),
        cmocka_unit_test(test_killed_under_a_batch),
        cmocka_unit_test(test_bodies_go_with_their_last_reference),
    };
    if (!getenv("POSTHOUSE_TEST_CONNINFO"))
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, harness_begin, harness_end);
}
