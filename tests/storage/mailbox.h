#ifndef TESTS_STORAGE_MAILBOX_H
#define TESTS_STORAGE_MAILBOX_H
/* What the tests of storage/mailbox share: an account's mailboxes, and mail in them. */
#include "storage/mailbox.h"
#include "tests/storage/letter.h"

#define ACCOUNT 114690

static const struct db_statement listed = {"test_listed", "select count(*) from message_release where cell = 7"};

static inline AWAITS void fill(int64_t mailbox, unsigned count, int64_t *uids)
{
    for (unsigned i = 0; i < count; i++) {
        struct letter *l = letter(mailbox, false, 80);

        accept_one(l);
        expect(l->answer == DB_DONE);
        uids[i] = l->recipient.uid;
    }
}

/* A mailbox of its own for each test; 0 when it cannot be made. */
static inline AWAITS int64_t fresh(const char *name)
{
    enum mailbox_refusal why;
    int64_t id = 0;

    return mailbox_create(ACCOUNT, slice_str(name), 1000, &id, &why) == DB_DONE ? id : 0;
}

static inline AWAITS unsigned items(int64_t mailbox, int64_t after, int64_t since, unsigned limit,
                                    struct mailbox_item **out)
{
    unsigned count = 0;

    return mailbox_items(arena, mailbox, after, since, limit, out, &count) == DB_FAILED ? 9999 : count;
}

#endif
