#ifndef TESTS_STORAGE_LETTER_H
#define TESTS_STORAGE_LETTER_H
/* Messages to store: into a mailbox, the queue, or both. */
#include "core/spool.h"
#include "storage/accept.h"
#include "storage/mailbox.h"
#include "tests/storage/harness.h"

#define CELL 7
/* Ids carry their cell (core/id.h): 7 << 14 and something. */
#define INBOX 114701
#define OTHER 114702
#define NOWHERE 114703
#define DAY_MS (24LL * 60 * 60 * 1000)

static const struct db_statement make_mailboxes = {"test_make_mailboxes",
                                                   "insert into mailbox (cell, id, account_id, name, uidvalidity)"
                                                   " values (7, 114701, 1, 'INBOX', 5), (7, 114702, 1, 'Other', 6)"};

/* One message for one recipient, and what became of it. */
struct letter {
    struct accept_recipient recipient;
    struct accept_message message;
    enum db_write answer;
};

static inline void letter_done(void *arg)
{
    struct letter *l = arg;

    spool_unref(&l->message.spool);
}

static inline struct letter *letter(int64_t mailbox, bool queue, size_t size)
{
    struct letter *l = arena_alloc(arena, sizeof *l);
    char line[80];

    memset(line, 'x', sizeof line);
    l->recipient = (struct accept_recipient){.address = SLICE("bob@example.test"),
                                             .mailbox_id = mailbox,
                                             .internal_ms = clock_now_ms(),
                                             .queue = queue,
                                             .destination = SLICE("default"),
                                             .expires_ms = clock_now_ms() + DAY_MS};
    l->message = (struct accept_message){.cell = CELL,
                                         .id = id_make(CELL),
                                         .customer_id = 1,
                                         .sender = SLICE("alice@outside.test"),
                                         .received_ms = clock_now_ms(),
                                         .client = "192.0.2.1",
                                         .protocol = "ESMTP",
                                         .prefix = SLICE("Received: by test\r\n"),
                                         .spool = spool_new(),
                                         .recipients = &l->recipient,
                                         .recipient_count = 1};
    while (spool_size(l->message.spool) < size) {
        line[0] = (char)('a' + spool_size(l->message.spool) / sizeof line % 26);
        if (!spool_append(l->message.spool, slice_of(line, sizeof line)))
            abort();
    }
    arena_on_done(arena, letter_done, l);
    return l;
}

static inline void accept_one(void *arg)
{
    struct letter *l = arg;

    l->answer = accept_commit(&l->message, 1);
}

static inline AWAITS enum db_write copy_items(struct mailbox_copying c, int64_t *first, unsigned *copied)
{
    enum db_write written = mailbox_copy(&c);

    *copied = c.copied;
    if (written == DB_DONE)
        *first = c.first_uid;
    return written;
}

static inline AWAITS enum db_write copy_them(int64_t from, const int64_t *uids, unsigned count, int64_t to,
                                             int64_t *first, unsigned *copied)
{
    return copy_items((struct mailbox_copying){from, to, uids, count, false, 0, 0}, first, copied);
}

static inline AWAITS enum db_write move_them(int64_t from, const int64_t *uids, unsigned count, int64_t to,
                                             int64_t *first, unsigned *copied)
{
    return copy_items((struct mailbox_copying){from, to, uids, count, true, 0, 0}, first, copied);
}

#endif
