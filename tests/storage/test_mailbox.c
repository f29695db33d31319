/*
 * storage/mailbox against a real PostgreSQL: items in order, flags, copies, expunging; UIDs that are given once,
 * whoever gives them at the same time; modseq that tells what is new; names with superiors and inferiors.
 */
#include "storage/mailbox.h"
#include "storage/subscription.h"
#include "tests/storage/letter.h"

#define ACCOUNT 114690
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct db_statement uids_twice = {
    "test_uids_twice",
    "select count(*) from (select mailbox_id, uid from mailbox_message group by 1, 2 having count(*) > 1) d"};
static const struct db_statement listed = {"test_listed", "select count(*) from message_release where cell = 7"};

static AWAITS void fill(int64_t mailbox, unsigned count, int64_t *uids)
{
    for (unsigned i = 0; i < count; i++) {
        struct letter *l = letter(mailbox, false, 80);

        accept_one(l);
        expect(l->answer == DB_DONE);
        uids[i] = l->recipient.uid;
    }
}

/* A mailbox of its own for each test; 0 when it cannot be made. */
static AWAITS int64_t fresh(const char *name)
{
    enum mailbox_refusal why;
    int64_t id = 0;

    return mailbox_create(ACCOUNT, slice_str(name), 1000, &id, &why) == DB_DONE ? id : 0;
}

static enum mailbox_refusal refusal; /* of the last rename */

static AWAITS enum db_write rename_to(const char *from, const char *to)
{
    return mailbox_rename(ACCOUNT, slice_str(from), slice_str(to), 1000, &refusal);
}

static AWAITS unsigned items(int64_t mailbox, int64_t after, int64_t since, unsigned limit, struct mailbox_item **out)
{
    unsigned count = 0;

    return mailbox_items(arena, mailbox, after, since, limit, out, &count) == DB_FAILED ? 9999 : count;
}

/* ------------------------------------------------------------------ reading */

static void reading(void *arg)
{
    int64_t box = fresh("reading"), uids[5] = {0}, *all;
    struct mailbox_counts counts;
    struct mailbox_item *item;
    struct mailbox mailbox;
    unsigned count;

    (void)arg;
    expect(box);
    expect(items(box, 0, 0, 100, &item) == 0);
    expect(mailbox_count(box, &counts) == DB_FOUND && counts.messages == 0 && counts.size == 0);
    fill(box, 5, uids);
    expect(items(box, 0, 0, 100, &item) == 5);
    for (unsigned i = 0; i < 5; i++) {
        expect(uids[i] == i + 1 && item[i].uid == uids[i] && item[i].message_id);
        expect(item[i].flags == 0 && item[i].keyword_count == 0 && item[i].size > 80);
        expect(i == 0 || item[i].modseq > item[i - 1].modseq);
    }
    expect(items(box, 2, 0, 2, &item) == 2 && item[0].uid == 3 && item[1].uid == 4);
    expect(items(box, 5, 0, 100, &item) == 0);
    expect(mailbox_uids(arena, box, &all, &count) == DB_FOUND && count == 5 && memcmp(all, uids, sizeof uids) == 0);
    expect(mailbox_count(box, &counts) == DB_FOUND && counts.messages == 5 && counts.unseen == 5 &&
           counts.deleted == 0);
    expect(mailbox_by_id(arena, box, &mailbox) == DB_FOUND && mailbox.uidnext == 6 && mailbox.uidvalidity > 0);
    expect(mailbox_by_id(arena, NOWHERE, &mailbox) == DB_NONE);
}

static void test_items_in_order(void **state)
{
    (void)state;
    in_task(reading);
}

/* ------------------------------------------------------------------ flags */

static AWAITS bool has(int64_t box, int64_t uid, unsigned flags, const char *keywords)
{
    struct mailbox_item *item;
    char text[200] = "";

    if (items(box, uid - 1, 0, 1, &item) != 1 || item->uid != uid || item->flags != flags)
        return false;
    for (unsigned i = 0; i < item->keyword_count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s", i ? " " : "", SLICE_ARG(item->keywords[i]));
    return strcmp(text, keywords) == 0;
}

static void flags(void *arg)
{
    const struct slice two[] = {SLICE("$Junk"), SLICE("work")}, other[] = {SLICE("work"), SLICE("$Forwarded")};
    int64_t box = fresh("flags"), uids[3] = {0}, before = 0, modseq = 0, gone[] = {77, 78};
    struct mailbox_counts counts;
    struct mailbox_item *item;

    (void)arg;
    expect(box);
    fill(box, 3, uids);
    expect(mailbox_store(box, uids, 1, MAILBOX_STORE_SET, MAILBOX_SEEN | MAILBOX_FLAGGED, two, 2, &before) == DB_DONE);
    expect(has(box, uids[0], MAILBOX_SEEN | MAILBOX_FLAGGED, "$Junk work"));
    expect(has(box, uids[1], 0, ""));
    expect(mailbox_store(box, uids, 1, MAILBOX_STORE_ADD, MAILBOX_SEEN | MAILBOX_DRAFT, other, 2, &modseq) == DB_DONE);
    expect(modseq > before);
    expect(has(box, uids[0], MAILBOX_SEEN | MAILBOX_FLAGGED | MAILBOX_DRAFT, "$Junk work $Forwarded"));
    expect(mailbox_store(box, uids, 1, MAILBOX_STORE_REMOVE, MAILBOX_FLAGGED | MAILBOX_ANSWERED, two, 2, &modseq) ==
           DB_DONE);
    expect(has(box, uids[0], MAILBOX_SEEN | MAILBOX_DRAFT, "$Forwarded"));
    expect(mailbox_store(box, uids, 3, MAILBOX_STORE_SET, MAILBOX_DELETED, NULL, 0, &modseq) == DB_DONE);
    expect(has(box, uids[0], MAILBOX_DELETED, "") && has(box, uids[2], MAILBOX_DELETED, ""));
    expect(mailbox_count(box, &counts) == DB_FOUND && counts.deleted == 3 && counts.unseen == 3);

    /* Only what changed since then is new, and all of it has the modseq that the change was told. */
    before = modseq;
    expect(items(box, 0, before, 100, &item) == 0);
    expect(mailbox_store(box, uids + 1, 1, MAILBOX_STORE_ADD, MAILBOX_SEEN, NULL, 0, &modseq) == DB_DONE);
    expect(items(box, 0, before, 100, &item) == 1 && item->uid == uids[1] && item->modseq == modseq);

    expect(mailbox_store(box, gone, 2, MAILBOX_STORE_SET, MAILBOX_SEEN, NULL, 0, &modseq) == DB_DONE); /* passed over */
    expect(mailbox_store(NOWHERE, uids, 1, MAILBOX_STORE_SET, MAILBOX_SEEN, NULL, 0, &modseq) == DB_REFUSED);
}

static void test_flags_and_modseq(void **state)
{
    (void)state;
    in_task(flags);
}

/* ------------------------------------------------------------------ copies and expunging */

static void copies(void *arg)
{
    int64_t from = fresh("from"), to = fresh("to"), uids[6] = {0}, first = 0, modseq, some[] = {0, 0, 4711, 0},
            there[2] = {0};
    const struct slice keyword = SLICE("work");
    struct mailbox_item *item, *source;
    unsigned copied = 0;

    (void)arg;
    expect(from && to);
    fill(from, 6, uids);
    fill(to, 2, there);
    expect(mailbox_store(from, uids + 2, 1, MAILBOX_STORE_SET, MAILBOX_FLAGGED, &keyword, 1, &modseq) == DB_DONE);
    some[0] = uids[4], some[1] = uids[0], some[3] = uids[2];
    expect(mailbox_copy(from, some, 4, to, &first, &copied) == DB_DONE);
    expect(copied == 3 && first == 3); /* 4711 is passed over and takes no UID */
    expect(items(from, 0, 0, 100, &source) == 6);
    expect(items(to, 2, 0, 100, &item) == 3);
    expect(item[0].message_id == source[0].message_id && item[1].message_id == source[2].message_id &&
           item[2].message_id == source[4].message_id);
    expect(item[0].uid == 3 && item[1].uid == 4 && item[2].uid == 5);
    expect(item[1].internal_ms == source[2].internal_ms && item[1].size == source[2].size);
    expect(has(to, 4, MAILBOX_FLAGGED, "work"));

    expect(mailbox_copy(from, uids, 1, from, &first, &copied) == DB_DONE && copied == 1 &&
           first == 7); /* onto itself */
    expect(mailbox_copy(from, some + 2, 1, to, &first, &copied) == DB_DONE && copied == 0);
    expect(mailbox_copy(from, uids, 6, NOWHERE, &first, &copied) == DB_REFUSED && copied == 0);
    expect(items(to, 0, 0, 100, &item) == 5);
}

static void moves(void *arg)
{
    int64_t from = fresh("leaves"), to = fresh("arrives"), uids[4] = {0}, first = 0, waiting, gone;
    struct mailbox_item *item, *source;
    struct mailbox before, after;
    unsigned copied = 0;

    (void)arg;
    expect(from && to && (gone = fresh("gone")) && mailbox_delete(gone) == DB_DONE);
    fill(from, 4, uids);
    expect(items(from, 0, 0, 100, &source) == 4 && mailbox_by_id(arena, from, &before) == DB_FOUND);
    expect(mailbox_move(from, uids, 4, gone, &first, &copied) == DB_REFUSED); /* nothing is lost */
    expect(items(from, 0, 0, 100, &item) == 4);

    waiting = number(&listed);
    expect(mailbox_move(from, uids + 1, 2, to, &first, &copied) == DB_DONE && first == 1 && copied == 2);
    expect(items(to, 0, 0, 100, &item) == 2);
    expect(item[0].message_id == source[1].message_id && item[1].message_id == source[2].message_id);
    expect(items(from, 0, 0, 100, &item) == 2 && item[0].uid == uids[0] && item[1].uid == uids[3]);
    expect(mailbox_by_id(arena, from, &after) == DB_FOUND && after.modseq > before.modseq);
    expect(number(&listed) == waiting + 2); /* maintenance finds that they are still referred to */
    expect(mailbox_move(from, uids, 4, from, &first, &copied) == DB_DONE && first == 5 &&
           copied == 2); /* onto itself */
    expect(items(from, 0, 0, 100, &item) == 2 && item[0].uid == 5 && item[0].message_id == source[0].message_id);
}

static void test_moves_are_whole(void **state)
{
    (void)state;
    in_task(moves);
}

static void test_copies_are_in_order_with_all_they_have(void **state)
{
    (void)state;
    in_task(copies);
}

static void expunging(void *arg)
{
    int64_t box = fresh("expunging"), uids[4] = {0}, more[2] = {0}, modseq, first = 0, waiting = number(&listed);
    struct mailbox before, after;
    struct mailbox_item *item;
    unsigned copied;

    (void)arg;
    expect(box && waiting >= 0);
    fill(box, 4, uids);
    expect(mailbox_store(box, uids + 3, 1, MAILBOX_STORE_ADD, MAILBOX_DELETED, NULL, 0, &modseq) == DB_DONE);
    expect(mailbox_by_id(arena, box, &before) == DB_FOUND);
    expect(mailbox_expunge(box, uids, 4, true) == DB_DONE); /* only what carries \Deleted */
    expect(items(box, 0, 0, 100, &item) == 3);
    expect(mailbox_by_id(arena, box, &after) == DB_FOUND && after.modseq > before.modseq && after.uidnext == 5);
    expect(number(&listed) == waiting + 1); /* the body's release */

    /* The highest UID is gone, and is not given again: not by a message, not by a copy. */
    fill(box, 1, more);
    expect(more[0] == 5);
    expect(mailbox_expunge(box, more, 1, false) == DB_DONE);
    expect(mailbox_copy(box, uids, 1, box, &first, &copied) == DB_DONE && first == 6);
    expect(mailbox_expunge(box, &first, 1, false) == DB_DONE);
    fill(box, 1, more);
    expect(more[0] == 7);
    expect(mailbox_expunge(box, uids, 4, false) == DB_DONE); /* one of them went before */
    expect(items(box, 0, 0, 100, &item) == 1 && item->uid == 7);
    expect(mailbox_expunge(box, uids, 4, false) == DB_DONE);
    expect(mailbox_copy(box, uids, 4, box, &first, &copied) == DB_DONE && copied == 0);
}

static void test_a_uid_is_never_given_again(void **state)
{
    (void)state;
    in_task(expunging);
}

/* ------------------------------------------------------------------ at the same time */

static int64_t left, right;

static void make_two(void *arg)
{
    int64_t uids[10] = {0};

    (void)arg;
    left = fresh("left");
    right = fresh("right");
    expect(left && right);
    fill(left, 10, uids);
    fill(right, 10, uids);
}

static void stir(void *arg)
{
    int64_t seed[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, first = 0, modseq;
    unsigned n = *(unsigned *)arg, copied;
    struct letter *l;

    switch (n % 4) {
    case 0:
    case 1:
        l = letter(n % 8 < 4 ? left : right, false, 80);
        accept_one(l);
        expect(l->answer == DB_DONE && l->recipient.uid > 10);
        break;
    case 2: /* both ways: two mailboxes are locked in one order, so neither waits for the other for ever */
        expect(mailbox_copy(n % 8 < 4 ? left : right, seed, 10, n % 8 < 4 ? right : left, &first, &copied) == DB_DONE);
        expect(copied == 10 && first > 10);
        break;
    case 3:
        expect(mailbox_store(n % 8 < 4 ? left : right, seed, 10, MAILBOX_STORE_ADD, MAILBOX_SEEN, NULL, 0, &modseq) ==
               DB_DONE);
        break;
    }
}

static void all_are_there(void *arg)
{
    struct mailbox mailbox;
    struct mailbox_item *item;

    (void)arg;
    expect(number(&uids_twice) == 0);
    for (unsigned i = 0; i < 2; i++) { /* none is missing either: 10, and 20 appended, and 10 times 10 copied */
        int64_t box = i ? right : left;

        expect(items(box, 0, 0, 1000, &item) == 130);
        for (unsigned k = 0; k < 130; k++)
            expect(item[k].uid == k + 1);
        expect(mailbox_by_id(arena, box, &mailbox) == DB_FOUND && mailbox.uidnext == 131);
    }
}

static void test_appends_and_copies_at_the_same_time(void **state)
{
    unsigned number_of[80];

    (void)state;
    in_task(make_two);
    for (unsigned i = 0; i < COUNT(number_of); i++) {
        number_of[i] = i;
        begin_task(stir, &number_of[i]);
    }
    run_tasks();
    in_task(all_are_there);
}

/* ------------------------------------------------------------------ names */

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
        cmocka_unit_test(test_items_in_order),
        cmocka_unit_test(test_flags_and_modseq),
        cmocka_unit_test(test_copies_are_in_order_with_all_they_have),
        cmocka_unit_test(test_moves_are_whole),
        cmocka_unit_test(test_a_uid_is_never_given_again),
        cmocka_unit_test(test_appends_and_copies_at_the_same_time),
        cmocka_unit_test(test_uidvalidity),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_renaming_inbox),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_subscriptions),
    };
    if (!getenv("POSTHOUSE_TEST_CONNINFO"))
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, harness_begin, harness_end);
}
