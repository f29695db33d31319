/*
 * pop3_maildrop: the list of messages that a session works with, and what QUIT does to them.
 *
 * The list is read once, at login: RFC 1939 section 5 wants message numbers to stay.  It costs 32 bytes a message and
 * is capped at POP3_ITEMS_MAX, oldest first, so a giant maildrop is collected in several sessions instead of in none.
 *
 * QUIT removes exactly the messages marked by DELE, by their UIDs, all or none.  Those that were retrieved and
 * stay become \Seen, so that a reader by IMAP sees what was collected; that this failed is no reason to
 * alarm the client.
 */
#include "protocols/pop3_session.h"

#include <stdlib.h>

#define LOG_MODULE "pop3"
#include "core/log.h"
#include "storage/mailbox.h"
#include "storage/outage_read.h"

#define BATCH 2000
#define CONFLICTS_MAX 3

/* ------------------------------------------------------------------ opening */

static void take(struct pop3_session *session, const struct mailbox_item *found, unsigned count)
{
    struct pop3_item *items = reallocarray(session->items, session->item_count + count, sizeof *items);

    if (!items)
        abort();
    session->items = items;
    for (unsigned i = 0; i < count; i++)
        items[session->item_count++] =
            (struct pop3_item){found[i].uid, found[i].message_id, found[i].size, false, false};
}

static void forget(struct pop3_session *session)
{
    free(session->items);
    session->items = NULL;
    session->item_count = 0;
}

static AWAITS enum db_status read_items(struct pop3_session *session, struct arena *arena)
{
    enum db_status status = DB_FOUND;
    unsigned count = BATCH;
    int64_t last = 0;

    while (count == BATCH && session->item_count < POP3_ITEMS_MAX) {
        struct mailbox_item *found;

        arena_reset(arena);
        status = mailbox_items(arena, session->account.inbox_id, last, 0, BATCH, &found, &count);
        if (status != DB_FOUND)
            break;
        if (count > 0) {
            take(session, found, count);
            last = found[count - 1].uid;
        }
    }
    return status == DB_FAILED ? DB_FAILED : DB_FOUND; /* NONE: no further items */
}

static AWAITS enum db_status read_maildrop(struct pop3_session *session)
{
    struct arena *arena = arena_new(POP3_COMMAND_MEMORY);
    struct mailbox inbox;
    enum db_status status = mailbox_by_id(arena, session->account.inbox_id, &inbox);

    forget(session);
    if (status == DB_FOUND) {
        session->uidvalidity = inbox.uidvalidity;
        status = read_items(session, arena);
    }
    arena_free(&arena);
    return status;
}

AWAITS void pop3_maildrop_open(struct pop3_session *session)
{
    session->account.address = arena_slice(session->arena, session->account.address);
    switch (read_maildrop(session)) {
    case DB_FOUND:
        pop3_session_logged_in(session);
        pop3_ok(session, "%u messages", session->item_count);
        return;
    case DB_NONE:
        log_warn("account without an inbox", log_slice("account", session->account.address));
        pop3_err(session, "SYS/PERM", "There is no mailbox");
        return;
    case DB_FAILED:
        forget(session);
        pop3_err(session, "SYS/TEMP", "The mailbox cannot be opened now, try again later");
        return;
    }
}

struct pop3_item *pop3_maildrop_item(struct pop3_session *session)
{
    uint32_t number = session->line.number;

    if (number > session->item_count) {
        pop3_err(session, NULL, "There is no message %u", number);
        return NULL;
    }
    if (session->items[number - 1].deleted) {
        pop3_err(session, NULL, "Message %u is deleted", number);
        return NULL;
    }
    return &session->items[number - 1];
}

/* ------------------------------------------------------------------ QUIT */

/* Those that are marked by DELE, or are not; read: of them only what was retrieved. */
static int64_t *collect(const struct pop3_session *session, bool deleted, bool read, unsigned *count)
{
    int64_t *uids = calloc(session->item_count + 1, sizeof *uids);

    if (!uids)
        abort();
    *count = 0;
    for (uint32_t i = 0; i < session->item_count; i++)
        if (session->items[i].deleted == deleted && (!read || session->items[i].retrieved))
            uids[(*count)++] = session->items[i].uid;
    return uids;
}

static AWAITS enum db_write expunge(int64_t mailbox_id, const int64_t *uids, unsigned count)
{
    enum db_write result = DB_DONE;

    for (unsigned i = 0; i < CONFLICTS_MAX; i++) {
        result = mailbox_expunge(mailbox_id, uids, count, false);
        if (result != DB_CONFLICT)
            break;
    }
    return result;
}

static AWAITS void mark_seen(struct pop3_session *session, bool deleted)
{
    unsigned count;
    int64_t *uids = collect(session, deleted, true, &count), modseq;

    if (count > 0 && mailbox_store(session->account.inbox_id, uids, count, MAILBOX_STORE_ADD, MAILBOX_SEEN, NULL, 0,
                                   &modseq) != DB_DONE)
        log_warn("messages could not be marked as seen", log_int("count", count));
    free(uids);
}

AWAITS void pop3_maildrop_update(void *arg)
{
    struct pop3_session *session = arg;
    unsigned count;
    int64_t *uids = collect(session, true, false, &count);
    enum db_write result = DB_DONE;

    if (count > 0) {
        if (outage_read_wanted(session->account.inbox_id))
            mark_seen(session, true); /* its flags are kept when it goes */
        result = expunge(session->account.inbox_id, uids, count);
    }
    free(uids);
    session->common.closing = true;
    switch (result) {
    case DB_DONE:
        mark_seen(session, false);
        log_info("logout", log_slice("account", session->account.address), log_int("deleted", count));
        pop3_ok(session, "Bye, %u messages deleted", count);
        return;
    case DB_UNCERTAIN:
        log_warn("unclear whether messages were deleted", log_int("count", count));
        pop3_err(session, "SYS/TEMP", "Deleted messages may not have been removed");
        return;
    case DB_REFUSED:
    case DB_CONFLICT:
    case DB_UNDONE:
        log_warn("messages could not be deleted", log_int("count", count));
        pop3_err(session, "SYS/TEMP", "Deleted messages were not removed");
        return;
    }
}
