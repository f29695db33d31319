/*
 * imap_append: APPEND (RFC 3501 6.3.11, RFC 4315).
 *
 *     append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal
 *
 * The message went into a spool while it arrived.  It enters by the same door as all mail (storage/accept.h), so OK
 * means durable, and one commit serves many.  It must be mail, as far as we will vouch for it later: NUL is refused.
 */
#include "protocols/imap_session.h"

#include <inttypes.h>
#include <stdlib.h>

#define LOG_MODULE "imap"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/accept.h"
#include "storage/node.h"

struct append {
    struct slice mailbox;
    struct imap_flags flags;
    int64_t internal_ms;
};

/* What stands before the literal; the cursor is after tag and verb. */
static bool take_append(struct imap_cursor *c, struct append *out)
{
    *out = (struct append){.internal_ms = clock_now_ms()};
    if (!imap_take_char(c, ' ') || !imap_take_mailbox(c, &out->mailbox) || !imap_take_char(c, ' '))
        return false;
    if (c->p < c->end && *c->p == '(' && (!imap_take_flag_list(c, &out->flags) || !imap_take_char(c, ' ')))
        return false;
    if (c->p < c->end && *c->p == '"' && (!imap_take_date_time(c, &out->internal_ms) || !imap_take_char(c, ' ')))
        return false;
    return c->p < c->end && *c->p == '{';
}

bool imap_append_expects(const struct imap_session *session)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct imap_cursor c = {session->pending, session->pending + session->pending_count, arena};
    struct append append;
    struct slice word;
    bool is = session->state != IMAP_NOT_AUTHENTICATED && imap_take_tag(&c, &word) && imap_take_char(&c, ' ') &&
              imap_take_atom(&c, &word) && slice_equal_nocase(word, SLICE("APPEND")) && take_append(&c, &append) &&
              memchr(c.p, '\n', (size_t)(c.end - c.p)) == c.end - 1; /* the literal that ends what we have */

    arena_free(&arena);
    return is;
}

static bool contains_nul(struct spool *spool)
{
    char *buffer = malloc(SPOOL_MEMORY);
    struct slice part;
    bool found = false;

    if (!buffer)
        abort();
    for (size_t at = 0; !found && spool_read(spool, at, SPOOL_MEMORY, buffer, &part) && part.n; at += part.n)
        found = memchr(part.p, '\0', part.n) != NULL;
    free(buffer);
    return found;
}

static void reply_appended(struct imap_session *session, enum db_write written, const struct accept_recipient *filed)
{
    switch (written) {
    case DB_DONE:
        if (filed->uid)
            imap_reply(session, "OK [APPENDUID %" PRId64 " %" PRId64 "] APPEND completed", filed->uidvalidity,
                       filed->uid);
        else
            imap_reply(session, "OK APPEND completed");
        return;
    case DB_REFUSED: imap_reply(session, "NO [TRYCREATE] The mailbox was deleted meanwhile"); return;
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN: imap_unavailable(session); return;
    }
}

static AWAITS void file(struct imap_session *session, const struct append *append, const struct mailbox *mailbox)
{
    struct accept_recipient recipient = {
        .address = session->account.address,
        .mailbox_id = mailbox->id,
        .flags = append->flags.bits,
        .keywords = append->flags.keywords,
        .keyword_count = append->flags.keyword_count,
        .internal_ms = append->internal_ms,
    };
    struct accept_message message = {
        .cell = session->account.cell,
        .id = id_make(session->account.cell),
        .customer_id = session->account.customer_id,
        .account_id = session->account.id,
        .sender = SLICE(""),
        .received_ms = clock_now_ms(),
        .client = session->peer,
        .protocol = "IMAP",
        .prefix = SLICE(""),
        .spool = session->append,
        .recipients = &recipient,
        .recipient_count = 1,
    };

    reply_appended(session, accept_commit(&message, 1), &recipient);
}

AWAITS void imap_command_append(struct imap_session *session)
{
    struct imap_cursor *c = &session->cursor;
    struct mailbox mailbox;
    struct append append;

    if (!take_append(c, &append) || !session->append) {
        imap_bad(session, "APPEND wants a mailbox, perhaps flags and a date, and a literal");
        return;
    }
    /* "{n}" CRLF, then nothing: the bytes are in the spool */
    while (c->p < c->end && *c->p != '\n')
        c->p++;
    if (!imap_take_char(c, '\n') || !imap_at_end(c)) {
        imap_bad(session, "One message at a time");
        return;
    }
    if (!node_alive()) {
        imap_unavailable(session);
        return;
    }
    if (spool_failed(session->append)) {
        imap_reply(session, "NO [SERVERBUG] The message could not be spooled");
        return;
    }
    if (!spool_size(session->append) || contains_nul(session->append)) {
        imap_reply(session, "NO [CANNOT] The message is empty or contains NUL");
        return;
    }
    switch (mailbox_find(session->command, session->account.id, append.mailbox, &mailbox)) {
    case DB_FOUND: file(session, &append, &mailbox); return;
    case DB_NONE: imap_reply(session, "NO [TRYCREATE] There is no such mailbox"); return;
    case DB_FAILED: imap_unavailable(session); return;
    }
}
