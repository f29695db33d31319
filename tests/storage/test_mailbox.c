/*
 * storage/mailbox against a real PostgreSQL: items in order, flags, copies, expunging; UIDs that are given once,
 * whoever gives them at the same time; modseq that tells what is new.  Names are in test_mailbox_names.c.
 */
#include "tests/storage/mailbox.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct db_statement uids_twice = {
    "test_uids_twice",
    "select count(*) from (select mailbox_id, uid from mailbox_message group by 1, 2 having count(*) > 1) d"};

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
    /* What has the flags already is not changed; adding, taking away, setting. */
    expect(mailbox_store(box, uids, 3, MAILBOX_STORE_SET, MAILBOX_SEEN, two, 2, &before) == DB_DONE);
    expect(mailbox_store(box, uids, 3, MAILBOX_STORE_ADD, MAILBOX_SEEN, two, 1, &modseq) == DB_DONE);
    expect(mailbox_store(box, uids, 3, MAILBOX_STORE_REMOVE, MAILBOX_DELETED, other + 1, 1, &modseq) == DB_DONE);
    expect(mailbox_store(box, uids, 3, MAILBOX_STORE_SET, MAILBOX_SEEN, two, 2, &modseq) == DB_DONE);
    expect(items(box, 0, before, 100, &item) == 0 && has(box, uids[2], MAILBOX_SEEN, "$Junk work"));
    expect(mailbox_store(box, uids, 3, MAILBOX_STORE_ADD, MAILBOX_SEEN, other, 2, &modseq) == DB_DONE);
    expect(items(box, 0, before, 100, &item) == 3 && has(box, uids[0], MAILBOX_SEEN, "$Junk work $Forwarded"));

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
    expect(copy_them(from, some, 4, to, &first, &copied) == DB_DONE);
    expect(copied == 3 && first == 3); /* 4711 is passed over and takes no UID */
    expect(items(from, 0, 0, 100, &source) == 6);
    expect(items(to, 2, 0, 100, &item) == 3);
    expect(item[0].message_id == source[0].message_id && item[1].message_id == source[2].message_id &&
           item[2].message_id == source[4].message_id);
    expect(item[0].uid == 3 && item[1].uid == 4 && item[2].uid == 5);
    expect(item[1].internal_ms == source[2].internal_ms && item[1].size == source[2].size);
    expect(has(to, 4, MAILBOX_FLAGGED, "work"));

    expect(copy_them(from, uids, 1, from, &first, &copied) == DB_DONE && copied == 1 && first == 7); /* onto itself */
    expect(copy_them(from, some + 2, 1, to, &first, &copied) == DB_DONE && copied == 0);
    expect(copy_them(from, uids, 6, NOWHERE, &first, &copied) == DB_REFUSED && copied == 0);
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
    expect(move_them(from, uids, 4, gone, &first, &copied) == DB_REFUSED); /* nothing is lost */
    expect(items(from, 0, 0, 100, &item) == 4);

    waiting = number(&listed);
    expect(move_them(from, uids + 1, 2, to, &first, &copied) == DB_DONE && first == 1 && copied == 2);
    expect(items(to, 0, 0, 100, &item) == 2);
    expect(item[0].message_id == source[1].message_id && item[1].message_id == source[2].message_id);
    expect(items(from, 0, 0, 100, &item) == 2 && item[0].uid == uids[0] && item[1].uid == uids[3]);
    expect(mailbox_by_id(arena, from, &after) == DB_FOUND && after.modseq > before.modseq);
    expect(number(&listed) == waiting + 2); /* maintenance finds that they are still referred to */
    expect(move_them(from, uids, 4, from, &first, &copied) == DB_DONE && first == 5 && copied == 2); /* onto itself */
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
    expect(copy_them(box, uids, 1, box, &first, &copied) == DB_DONE && first == 6);
    expect(mailbox_expunge(box, &first, 1, false) == DB_DONE);
    fill(box, 1, more);
    expect(more[0] == 7);
    expect(mailbox_expunge(box, uids, 4, false) == DB_DONE); /* one of them went before */
    expect(items(box, 0, 0, 100, &item) == 1 && item->uid == 7);
    expect(mailbox_expunge(box, uids, 4, false) == DB_DONE);
    expect(copy_them(box, uids, 4, box, &first, &copied) == DB_DONE && copied == 0);
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
        expect(copy_them(n % 8 < 4 ? left : right, seed, 10, n % 8 < 4 ? right : left, &first, &copied) == DB_DONE);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_in_order),
        cmocka_unit_test(test_flags_and_modseq),
        cmocka_unit_test(test_copies_are_in_order_with_all_they_have),
        cmocka_unit_test(test_moves_are_whole),
        cmocka_unit_test(test_a_uid_is_never_given_again),
        cmocka_unit_test(test_appends_and_copies_at_the_same_time),
    };
    if (!getenv("POSTHOUSE_TEST_CONNINFO"))
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, harness_begin, harness_end);
}
