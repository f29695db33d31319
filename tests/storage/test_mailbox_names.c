/*
 * storage/mailbox against a real PostgreSQL: names with superiors and inferiors, UIDVALIDITY, INBOX, how many there may
 * be, and the names that an account subscribes to.
 */
#include "storage/subscription.h"
#include "tests/storage/mailbox.h"

static enum mailbox_refusal refusal; /* of the last rename */

static AWAITS enum db_write rename_to(const char *from, const char *to)
{
    return mailbox_rename(ACCOUNT, slice_str(from), slice_str(to), 1000, &refusal);
}

static AWAITS bool exists(const char *name)
{
    struct mailbox mailbox;

    return mailbox_find(arena, ACCOUNT, slice_str(name), &mailbox) == DB_FOUND &&
           slice_equal(mailbox.name, slice_str(name));
}

static AWAITS int64_t uidvalidity(const char *name)
{
    struct mailbox mailbox;

    return mailbox_find(arena, ACCOUNT, slice_str(name), &mailbox) == DB_FOUND ? mailbox.uidvalidity : 0;
}

/* RFC 3501 2.3.1.1: a name, once its mailbox is another, has another value, however soon that comes. */
static void uidvalidities(void *arg)
{
    int64_t first, second, again = fresh("again");

    (void)arg;
    first = uidvalidity("again");
    expect(first > 1000000000 && first <= UINT32_MAX);
    expect(fresh("twin") && uidvalidity("twin") > first);
    second = uidvalidity("twin");
    expect(mailbox_delete(again) == DB_DONE && fresh("again"));
    expect(uidvalidity("again") > second);
    again = uidvalidity("again");
    expect(rename_to("twin", "twin2") == DB_DONE && uidvalidity("twin2") == second);
    expect(fresh("deep/er") && uidvalidity("deep") > again && uidvalidity("deep/er") > uidvalidity("deep"));
}

static void test_uidvalidity(void **state)
{
    (void)state;
    in_task(uidvalidities);
}

static void names(void *arg)
{
    int64_t id = 0, uids[2] = {0}, waiting;
    struct mailbox mailbox, *list;
    unsigned count = 0;

    (void)arg;
    expect(fresh("a/b/c"));
    expect(exists("a") && exists("a/b") && exists("a/b/c"));
    expect(mailbox_create(ACCOUNT, SLICE("a/b"), 1000, &id, &refusal) == DB_REFUSED && refusal == MAILBOX_EXISTS);
    expect(fresh("a/b/d") && fresh("ab"));
    expect(rename_to("a/b", "x/y") == DB_DONE);
    expect(exists("x") && exists("x/y") && exists("x/y/c") && exists("x/y/d") && exists("a") && exists("ab"));
    expect(!exists("a/b") && !exists("a/b/c"));
    expect(rename_to("x", "a") == DB_REFUSED);
    expect(exists("x/y/c") && !exists("a/y"));
    expect(fresh("A%_") && fresh("A%_/in") && fresh("Axx/in")); /* names are no patterns */
    expect(rename_to("A%_", "B") == DB_DONE);
    expect(exists("B/in") && exists("Axx/in"));

    expect(mailbox_find(arena, ACCOUNT, SLICE("x/y"), &mailbox) == DB_FOUND && mailbox.account_id == ACCOUNT);
    fill(mailbox.id, 2, uids);
    waiting = number(&listed);
    expect(mailbox_delete(mailbox.id) == DB_DONE);
    expect(!exists("x/y") && exists("x/y/c"));
    expect(number(&listed) == waiting + 2);
    expect(mailbox_list(arena, ACCOUNT, &list, &count) == DB_FOUND);
    for (unsigned i = 1; i < count; i++)
        expect(strcmp(arena_slicedup(arena, list[i - 1].name), arena_slicedup(arena, list[i].name)) < 0);
    expect(mailbox_list(arena, NOWHERE, &list, &count) != DB_FAILED && count == 0);
}

static void test_names(void **state)
{
    (void)state;
    in_task(names);
}

/* RFC 3501 6.3.5: INBOX's messages move, it stays. */
static void inbox(void *arg)
{
    int64_t box = fresh("INBOX"), uids[4] = {0}, more = 0, modseq;
    struct mailbox before, after, moved;
    struct mailbox_item *item;

    (void)arg;
    expect(box);
    fill(box, 4, uids);
    expect(mailbox_expunge(box, uids + 1, 1, false) == DB_DONE);
    expect(mailbox_store(box, uids + 2, 1, MAILBOX_STORE_SET, MAILBOX_ANSWERED, NULL, 0, &modseq) == DB_DONE);
    expect(mailbox_by_id(arena, box, &before) == DB_FOUND);
    expect(rename_to("inbox", "old/mail") == DB_DONE);
    expect(mailbox_find(arena, ACCOUNT, SLICE("INBOX"), &after) == DB_FOUND && after.id == box);
    expect(items(box, 0, 0, 100, &item) == 0 && after.modseq > before.modseq && after.uidnext == before.uidnext);
    expect(exists("old"));
    expect(mailbox_find(arena, ACCOUNT, SLICE("old/mail"), &moved) == DB_FOUND && moved.id != box &&
           moved.uidnext == 4);
    expect(items(moved.id, 0, 0, 100, &item) == 3);
    expect(item[0].uid == 1 && item[1].uid == 2 && item[2].uid == 3);
    expect(item[1].flags == MAILBOX_ANSWERED);
    fill(box, 1, &more);
    expect(more == 5);
    expect(rename_to("INBOX", "old/mail") == DB_REFUSED);
    expect(items(box, 0, 0, 100, &item) == 1);
}

static void test_renaming_inbox(void **state)
{
    (void)state;
    in_task(inbox);
}

/* ------------------------------------------------------------------ how many */

/* All or nothing: superiors count, and none of them is made when the last one would be too many. */
static void limited(void *arg)
{
    struct mailbox *list;
    unsigned count;
    int64_t id;

    (void)arg;
    expect(mailbox_list(arena, ACCOUNT, &list, &count) == DB_FOUND);
    expect(mailbox_create(ACCOUNT, SLICE("limit/a/b"), count + 2, &id, &refusal) == DB_REFUSED);
    expect(refusal == MAILBOX_TOO_MANY && !exists("limit") && !exists("limit/a"));
    expect(mailbox_create(ACCOUNT, SLICE("limit/a/b"), count + 3, &id, &refusal) == DB_DONE);
    expect(mailbox_create(ACCOUNT, SLICE("limit/a"), count + 3, &id, &refusal) == DB_REFUSED &&
           refusal == MAILBOX_EXISTS);
    /* one that gets another name is no more than before, whatever the limit is by now */
    expect(mailbox_rename(ACCOUNT, SLICE("limit/a/b"), SLICE("limit/c"), 1, &refusal) == DB_DONE);
    expect(mailbox_rename(ACCOUNT, SLICE("limit/c"), SLICE("limit/d/e"), count + 3, &refusal) == DB_REFUSED);
    expect(refusal == MAILBOX_TOO_MANY && exists("limit/c"));
    expect(mailbox_rename(ACCOUNT, SLICE("INBOX"), SLICE("limit/inbox"), count + 3, &refusal) == DB_REFUSED);
    expect(refusal == MAILBOX_TOO_MANY && !exists("limit/inbox"));
}

static void test_limit(void **state)
{
    (void)state;
    in_task(limited);
}

static void long_names(void *arg)
{
    char name[MAILBOX_NAME_MAX + 2];
    int64_t id;

    (void)arg;
    memset(name, 'n', sizeof name);
    expect(mailbox_create(ACCOUNT, slice_of(name, MAILBOX_NAME_MAX + 1), 1000, &id, &refusal) == DB_REFUSED);
    expect(refusal == MAILBOX_NAME);
    expect(mailbox_create(ACCOUNT, slice_of(name, MAILBOX_NAME_MAX), 1000, &id, &refusal) == DB_DONE);
    expect(fresh("grows/below"));
    name[MAILBOX_NAME_MAX - 1] = '\0';
    expect(rename_to("grows", name) == DB_REFUSED && refusal == MAILBOX_NAME && exists("grows/below"));
}

static void test_long_names(void **state)
{
    (void)state;
    in_task(long_names);
}

/* ------------------------------------------------------------------ subscriptions */

/* The name's place among those that are subscribed to, from 1; 0: it is not there. */
static AWAITS unsigned subscribed(const char *name, int64_t *id)
{
    struct mailbox *list;
    unsigned count;

    if (subscription_list(arena, ACCOUNT, &list, &count) == DB_FAILED)
        return 0;
    for (unsigned i = 0; i < count; i++)
        if (slice_equal(list[i].name, slice_str(name))) {
            *id = list[i].id;
            return i + 1;
        }
    return 0;
}

static void subscribing(void *arg)
{
    int64_t box = fresh("sub"), id = 0;

    (void)arg;
    expect(!subscribed("sub", &id));
    expect(subscription_add(ACCOUNT, SLICE("sub"), 2) == DB_DONE && subscribed("sub", &id) == 1 && id == box);
    expect(subscription_add(ACCOUNT, SLICE("INBOX"), 2) == DB_DONE && subscribed("INBOX", &id) == 1);
    expect(subscription_add(ACCOUNT, SLICE("more"), 2) == DB_REFUSED && !subscribed("more", &id));
    expect(subscription_add(ACCOUNT, SLICE("sub"), 1) == DB_DONE); /* it is there already */
    expect(mailbox_delete(box) == DB_DONE && subscribed("sub", &id) == 2 && id == 0);
    expect((box = fresh("sub")) && subscribed("sub", &id) == 2 && id == box);
    expect(rename_to("sub", "bus") == DB_DONE && subscribed("sub", &id) == 2 && id == 0 && !subscribed("bus", &id));
    expect(subscription_remove(ACCOUNT, SLICE("sub")) == DB_DONE && !subscribed("sub", &id));
    expect(subscription_remove(ACCOUNT, SLICE("sub")) == DB_DONE);
    expect(subscription_remove(ACCOUNT, SLICE("INBOX")) == DB_DONE);
}

static void test_subscriptions(void **state)
{
    (void)state;
    in_task(subscribing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uidvalidity), cmocka_unit_test(test_names),      cmocka_unit_test(test_renaming_inbox),
        cmocka_unit_test(test_limit),       cmocka_unit_test(test_long_names), cmocka_unit_test(test_subscriptions),
    };
    if (!getenv("POSTHOUSE_TEST_CONNINFO"))
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, harness_begin, harness_end);
}
