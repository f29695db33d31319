/*
 * storage/maintenance against a real PostgreSQL: partitions made ahead and dropped in time, chunks whose message never
 * came, mail without a destination, history past its time, old rows of the greylist, and bodies that go when the last
 * reference does, whoever adds or takes one while they are being purged.
 */
#include "storage/body.h"
#include "storage/greylist.h"
#include "storage/mailbox.h"
#include "storage/maintenance.h"
#include "tests/storage/letter.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define THIRD 114704
#define MESSAGES 20

static const int16_t cells[] = {CELL};

static AWAITS void maintain(void)
{
    maintenance_run(cells, COUNT(cells), 14 * DAY_MS);
}

/* ------------------------------------------------------------------ partitions */

/* Weekly partitions from this week to the one after next; one of long ago; one that has just not expired. */
static const struct db_statement drop_ahead = {
    "test_drop_ahead",
    "do $$ declare part text; begin for part in select c.relname from pg_inherits i join pg_class c"
    " on c.oid = i.inhrelid where i.inhparent = 'event'::regclass and c.relname ~ '^event_[0-9]{8}$' loop"
    " execute format('drop table %I', part); end loop; end $$"};
static const struct db_statement make_ancient = {
    "test_make_ancient", "create table event_20240101 partition of event for values from ('2024-01-01 00:00+00')"
                         " to ('2024-01-08 00:00+00')"};
static const struct db_statement make_recent = {
    "test_make_recent", "do $$ declare week date := date_trunc('week', now() - interval '1 week')::date; begin"
                        " execute format('create table %I partition of event for values from (%L) to (%L)', 'event_' "
                        "|| to_char(week, 'YYYYMMDD'),"
                        " week || ' 00:00+00', (week + 7) || ' 00:00+00'); end $$"};
static const struct db_statement partitions = {
    "test_partitions", "select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid"
                       " where i.inhparent = 'event'::regclass and c.relname ~ '^event_[0-9]{8}$'"};
static const struct db_statement ahead = {
    "test_ahead",
    "select count(*) from generate_series(date_trunc('week', now()), now() + interval '2 weeks', '1 week') week"
    " where to_regclass('event_' || to_char(week, 'YYYYMMDD')) is not null"};
static const struct db_statement recent = {
    "test_recent",
    "select count(to_regclass('event_' || to_char(date_trunc('week', now() - interval '1 week'), 'YYYYMMDD')))"};
static const struct db_statement ancient = {"test_ancient", "select count(to_regclass('event_20240101'))"};

static void partitioning(void *arg)
{
    (void)arg;
    expect(change(&drop_ahead) == DB_DONE && number(&partitions) == 0);
    expect(change(&make_ancient) == DB_DONE && change(&make_recent) == DB_DONE);
    maintain();
    expect(number(&ahead) == 3);
    expect(number(&ancient) == 0);
    expect(number(&recent) == 1);
}

static void test_partitions_are_made_ahead_and_dropped_in_time(void **state)
{
    (void)state;
    in_task(partitioning);
}

/* ------------------------------------------------------------------ what was left behind */

/* Chunks by age of their ids in hours; one that has its message. */
static const struct db_statement leave_chunks = {
    "test_leave_chunks", "insert into message_body (cell, message_id, seq, data) select 7,"
                         " ((extract(epoch from now() - make_interval(hours => h) - timestamptz '2024-01-01 00:00+00') "
                         "* 1000)::bigint << 22)"
                         " | (7 << 14), s, '\\x00' from unnest(array[1, 23, 25, 40]) h, generate_series(0, 2) s"};
static const struct db_statement give_message = {
    "test_give_message", "insert into message (cell, id, customer_id, sender, size, received_at, protocol)"
                         " select cell, message_id, 1, '', 1, now(), 'LOCAL' from message_body where cell = 7"
                         " group by cell, message_id order by message_id limit 1"};
static const struct db_statement chunks = {"test_chunks", "select count(*) from message_body where cell = 7"};
static const struct db_statement orphans = {
    "test_orphans", "select count(distinct message_id) from message_body b where cell = 7"
                    " and not exists (select from message m where m.cell = 7 and m.id = b.message_id)"};
static const struct db_statement clear_chunks = {"test_clear_chunks",
                                                 "with b as (delete from message_body where cell = 7)"
                                                 " delete from message where cell = 7"};

static void sweeping(void *arg)
{
    (void)arg;
    expect(change(&leave_chunks) == DB_DONE && change(&give_message) == DB_DONE);
    expect(number(&chunks) == 12 && number(&orphans) == 3);
    maintain();
    expect(number(&chunks) == 9);  /* all three chunks of the one that is 25 hours old */
    expect(number(&orphans) == 2); /* of 1 and 23 hours: their message may still come */
    expect(change(&clear_chunks) == DB_DONE);
}

static void test_chunks_whose_message_never_came(void **state)
{
    (void)state;
    in_task(sweeping);
}

static const struct db_statement lose_destinations = {
    "test_lose_destinations",
    "with gone as (delete from destination where cell = 7)"
    " update queue_entry set worker = null, lease_until = null, destination = 'lost' where cell = 7"};
static const struct db_statement idle_rows = {
    "test_idle_rows",
    "insert into destination (cell, key, due_at) values (7, 'idle', 'infinity'), (7, 'away', now() + '1 hour')"};
static const struct db_statement make_idle = {
    "test_make_idle", "update destination set due_at = 'infinity' where cell = 7 and key = 'lost'"};
static const struct db_statement count_due = {
    "test_count_due", "select count(*) from destination where cell = 7 and key = 'lost' and due_at <= now()"};
static const struct db_statement count_idle = {"test_count_idle",
                                               "select count(*) from destination where cell = 7 and key = 'idle'"};
static const struct db_statement count_away = {
    "test_count_away", "select count(*) from destination where cell = 7 and key = 'away' and due_at > now()"};

static void destinations(void *arg)
{
    struct letter *l = letter(0, true, 80);

    (void)arg;
    accept_one(l);
    expect(l->answer == DB_DONE);
    expect(change(&lose_destinations) == DB_DONE && change(&idle_rows) == DB_DONE);
    expect(number(&count_due) == 0);
    maintain();
    expect(number(&count_due) == 1); /* mail that nobody would have claimed */
    expect(number(&count_idle) == 0 && number(&count_away) == 1);
    expect(change(&make_idle) == DB_DONE);
    maintain();
    expect(number(&count_due) == 1); /* the same with a row that says that nothing waits */
}

static void test_mail_without_a_destination(void **state)
{
    (void)state;
    in_task(destinations);
}

/* ------------------------------------------------------------------ purging */

static const struct db_statement third = {
    "test_third", "insert into mailbox (cell, id, account_id, name, uidvalidity) values (7, 114704, 1, 'Third', 7)"};
static const struct db_statement bodiless = {
    "test_bodiless", "select count(*) from mailbox_message i where cell = 7 and not exists"
                     " (select from message_body b where b.cell = 7 and b.message_id = i.message_id)"};
static const struct db_statement useless = {
    "test_useless", "select count(distinct message_id) from message_body b where cell = 7 and not exists"
                    " (select from mailbox_message i where i.cell = 7 and i.message_id = b.message_id) and not exists"
                    " (select from queue_entry q where q.cell = 7 and q.message_id = b.message_id)"};
static const struct db_statement wrongly_gone = {
    "test_wrongly_gone", "select count(*) from message m where cell = 7 and body_gone = exists"
                         " (select from message_body b where b.cell = 7 and b.message_id = m.id)"};
static const struct db_statement listed = {"test_listed", "select count(*) from message_release where cell = 7"};
static const struct db_statement in_third = {
    "test_in_third", "select count(*) from mailbox_message where cell = 7 and mailbox_id = 114704"};

/* Each has all it needs and nothing is kept that nobody needs. */
static AWAITS bool settled(void)
{
    return number(&bodiless) == 0 && number(&useless) == 0 && number(&wrongly_gone) == 0 && number(&listed) == 0;
}

static const struct db_statement slow_function = {"test_slow_function",
                                                  "create function test_slow() returns trigger language plpgsql as"
                                                  " $$ begin perform pg_sleep(1); return null; end $$"};
static const struct db_statement slow_purge = {
    "test_slow_purge",
    "create trigger test_slow before delete on message_body for each statement execute function test_slow()"};
static const struct db_statement quick_purge = {"test_quick_purge", "drop trigger test_slow on message_body"};
static const struct db_statement purging = {
    "test_purging", "select count(*) from pg_stat_activity where query like 'delete from message_body %'"
                    " and state = 'active' and pid <> pg_backend_pid()"};

static struct letter *needed;
static int64_t copy_uid;

static void list_one(void *arg)
{
    int64_t first;
    unsigned copied;

    (void)arg;
    expect(change(&make_mailboxes) == DB_DONE && change(&third) == DB_DONE && change(&slow_function) == DB_DONE);
    needed = letter(INBOX, false, 80);
    accept_one(needed);
    expect(needed->answer == DB_DONE);
    expect(copy_them(INBOX, &needed->recipient.uid, 1, OTHER, &first, &copied) == DB_DONE && copied == 1);
    expect(mailbox_expunge(OTHER, &first, 1, false) == DB_DONE);
    expect(number(&listed) == 1);
    expect(change(&slow_purge) == DB_DONE);
}

static void purge_slowly(void *arg)
{
    (void)arg;
    maintain();
}

/* While the purge holds the message and has looked already: a copy is made, and what it was made of goes. */
static void move_meanwhile(void *arg)
{
    unsigned copied = 0;

    (void)arg;
    for (unsigned i = 0; i < 1000 && number(&purging) < 1; i++)
        task_sleep(10);
    expect(number(&purging) >= 1);
    expect(copy_them(INBOX, &needed->recipient.uid, 1, THIRD, &copy_uid, &copied) == DB_DONE && copied == 1);
    expect(mailbox_expunge(INBOX, &needed->recipient.uid, 1, false) == DB_DONE);
}

static void it_is_still_there(void *arg)
{
    struct slice head;

    (void)arg;
    expect(change(&quick_purge) == DB_DONE);
    maintain();
    expect(body_read(arena, needed->message.id, 0, &head) == DB_FOUND);
    expect(settled());
    expect(mailbox_expunge(THIRD, &copy_uid, 1, false) == DB_DONE);
    maintain();
    expect(body_read(arena, needed->message.id, 0, &head) == DB_NONE);
    expect(settled());
}

static void test_a_body_that_another_needs_meanwhile_stays(void **state)
{
    (void)state;
    in_task(list_one);
    begin_task(purge_slowly, NULL);
    begin_task(move_meanwhile, NULL);
    run_tasks();
    in_task(it_is_still_there);
}

/* The last reference goes while the purge, which saw it, is under way: the next purge takes it. */
static void last_goes_meanwhile(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 1000 && number(&purging) < 1; i++)
        task_sleep(10);
    expect(number(&purging) >= 1);
    expect(mailbox_expunge(INBOX, &needed->recipient.uid, 1, false) == DB_DONE);
}

static void list_another(void *arg)
{
    int64_t first;
    unsigned copied;

    (void)arg;
    needed = letter(INBOX, false, 80);
    accept_one(needed);
    expect(needed->answer == DB_DONE);
    expect(copy_them(INBOX, &needed->recipient.uid, 1, OTHER, &first, &copied) == DB_DONE && copied == 1);
    expect(mailbox_expunge(OTHER, &first, 1, false) == DB_DONE);
    expect(change(&slow_purge) == DB_DONE);
}

static void it_goes(void *arg)
{
    struct slice head;

    (void)arg;
    expect(change(&quick_purge) == DB_DONE);
    maintain();
    expect(body_read(arena, needed->message.id, 0, &head) == DB_NONE);
    expect(settled());
}

static void test_a_body_whose_last_reference_goes_meanwhile_is_not_forgotten(void **state)
{
    (void)state;
    in_task(list_another);
    begin_task(purge_slowly, NULL);
    begin_task(last_goes_meanwhile, NULL);
    run_tasks();
    in_task(it_goes);
}

/* Many at once, in whatever order they come: each message ends in Third or nowhere. */
static struct letter *crowd[MESSAGES];

static void accept_crowd(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < MESSAGES; i++) {
        crowd[i] = letter(INBOX, false, 80);
        accept_one(crowd[i]);
        expect(crowd[i]->answer == DB_DONE);
    }
}

static void pass_on(void *arg)
{
    unsigned i = *(unsigned *)arg, copied = 0;
    int64_t uid = crowd[i]->recipient.uid, second = 0, last = 0;

    expect(copy_them(INBOX, &uid, 1, OTHER, &second, &copied) == DB_DONE && copied == 1);
    expect(mailbox_expunge(INBOX, &uid, 1, false) == DB_DONE);
    maintain();
    if (i % 2)
        expect(copy_them(OTHER, &second, 1, THIRD, &last, &copied) == DB_DONE && copied == 1);
    expect(mailbox_expunge(OTHER, &second, 1, false) == DB_DONE);
}

static void crowd_is_settled(void *arg)
{
    (void)arg;
    expect(number(&bodiless) == 0);
    maintain();
    expect(settled());
    expect(number(&in_third) == MESSAGES / 2);
}

static void test_many_come_and_go_while_others_purge(void **state)
{
    unsigned number_of[MESSAGES];

    (void)state;
    in_task(accept_crowd);
    for (unsigned i = 0; i < MESSAGES; i++) {
        number_of[i] = i;
        begin_task(pass_on, &number_of[i]);
    }
    run_tasks();
    in_task(crowd_is_settled);
}

/* ------------------------------------------------------------------ history */

static const struct db_statement age = {"test_age",
                                        "update message set received_at = now() - interval '20 days' where cell = 7"};
static const struct db_statement gone = {"test_gone", "select count(*) from message where cell = 7 and body_gone"};
static const struct db_statement messages = {"test_messages", "select count(*) from message where cell = 7"};

static void history(void *arg)
{
    int64_t before = number(&messages), old = number(&gone);

    (void)arg;
    expect(old > 0 && before > old);
    maintain();
    expect(number(&messages) == before); /* young: it stays */
    expect(change(&age) == DB_DONE);
    maintain();
    expect(number(&gone) == 0);
    expect(number(&messages) == before - old); /* as old, but needed: it stays */
    expect(number(&bodiless) == 0);
}

static void test_history_past_its_time(void **state)
{
    (void)state;
    in_task(history);
}

/* ------------------------------------------------------------------ greylist */

static const struct db_statement come = {
    "test_come",
    "insert into greylist (cell, triple, client, first_at, last_at, passes)"
    " select 7, sha256(t.name::bytea), '192.0.2.0/24', now() - t.age, now() - t.age, t.passes from (values"
    " ('young', interval '1 day', 0), ('never again', interval '3 days', 0), ('passed', interval '35 days', 1),"
    " ('long ago', interval '37 days', 1)) t (name, age, passes)"};
static const struct db_statement come_again = {
    "test_come_again",
    "insert into greylist_client (cell, customer_id, client, passes, last_at)"
    " values (7, 1, 'young', 1, now() - interval '35 days'), (7, 1, 'old', 1, now() - interval '37 days'),"
    " (8, 1, 'of another cell', 1, now() - interval '37 days')"};
static const struct db_statement multitude = {
    "test_multitude",
    "insert into greylist (cell, triple, client, first_at, last_at, passes)"
    " select 7, sha256(n::text::bytea), '198.51.100.0/24', now(), now() + n * interval '1 ms', (n % 4 > 0)::integer"
    "   from generate_series(1, 120000) n"};
static const struct db_statement multitude_again = {
    "test_multitude_again", "insert into greylist_client (cell, customer_id, client, passes, last_at)"
                            " select 7, n % 3, n::text, 1, now() from generate_series(1, 100005) n"};
static const struct db_statement waiting_left = {"test_waiting_left", "select count(*) from greylist where passes = 0"};
static const struct db_statement newest_left = {
    "test_newest_left",
    "select count(*) from greylist where triple in (sha256('119999'::bytea), sha256('120000'::bytea))"};
static const struct db_statement left = {
    "test_left", "select count(*) from greylist where triple in (sha256('young'::bytea), sha256('passed'::bytea))"};
static const struct db_statement all_left = {"test_all_left", "select count(*) from greylist"};
static const struct db_statement clients_left = {"test_clients_left",
                                                 "select count(*) from greylist_client where client <> 'old'"};
static const struct db_statement all_clients_left = {"test_all_clients_left", "select count(*) from greylist_client"};

static void greylist(void *arg)
{
    (void)arg;
    expect(change(&come) == DB_DONE);
    expect(change(&come_again) == DB_DONE);
    maintain();
    expect(number(&left) == 2 && number(&all_left) == 2);
    expect(number(&clients_left) == 2 && number(&all_clients_left) == 2);

    expect(change(&multitude) == DB_DONE && change(&multitude_again) == DB_DONE);
    maintain();
    expect(number(&all_left) <= GREYLIST_CELL_MAX && number(&all_left) > GREYLIST_CELL_MAX - 20000);
    expect(number(&waiting_left) == GREYLIST_CELL_WAITING_MAX);
    expect(number(&newest_left) == 2);
    expect(number(&all_clients_left) == GREYLIST_CELL_MAX + 1);
}

static void test_who_did_not_come_again_is_forgotten(void **state)
{
    (void)state;
    in_task(greylist);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partitions_are_made_ahead_and_dropped_in_time), /* the first run looks after them */
        cmocka_unit_test(test_chunks_whose_message_never_came),
        cmocka_unit_test(test_mail_without_a_destination),
        cmocka_unit_test(test_a_body_that_another_needs_meanwhile_stays),
        cmocka_unit_test(test_a_body_whose_last_reference_goes_meanwhile_is_not_forgotten),
        cmocka_unit_test(test_many_come_and_go_while_others_purge),
        cmocka_unit_test(test_history_past_its_time),
        cmocka_unit_test(test_who_did_not_come_again_is_forgotten),
    };
    if (!getenv("POSTHOUSE_TEST_CONNINFO"))
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, harness_begin, harness_end);
}
