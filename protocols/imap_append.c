/*
 * imap_append: APPEND (RFC 3501 6.3.11, RFC 4315).
 *
 *     append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal
 *
 * The message went into a spool while it arrived.  It enters by the same door as all mail (storage/accept.h), so OK
 * means durable, and one commit serves many.  It must be mail, as far as we will vouch for it later: NUL is refused.
 *
 * While the account's domain has an outage we file in Sent what it sends.  A mail program that does so, too, is answered
 * with the UID of the copy that is there (APPENDUID), and there is one.
 */
#include "protocols/imap_session.h"

#include <inttypes.h>
#include <stdlib.h>

#define LOG_MODULE "imap"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "protocols/mime.h"
#include "storage/accept.h"
#include "storage/drill.h"
#include "storage/name.h"
#include "storage/node.h"
#include "storage/sent_copy.h"

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

/* Its Message-ID; {NULL,0}: it has none, or it cannot be read. */
static struct slice find_message_id(struct imap_session *session)
{
    char *buffer = arena_alloc(session->command, SENT_COPY_HEADER_MAX);
    struct slice part;

    if (!spool_read(session->append, 0, SENT_COPY_HEADER_MAX, buffer, &part))
        return (struct slice){NULL, 0};
    return mime_field(session->command, part, "Message-ID");
}

/*
 * Into Sent while the account's domain has an outage: is there a copy of it already?  *copy: what goes with the message;
 * kept NULL if it is none.  FOUND: there is, *found.
 */
static AWAITS enum db_status find_sent(struct imap_session *session, const struct mailbox *mailbox,
                                       struct sent_copy **copy, struct sent_copy_found *found)
{
    struct arena *arena = session->command;
    struct directory_domain domain;
    struct slice message_id;

    *copy = NULL;
    if (!slice_equal(mailbox->special_use, SLICE("\\Sent")))
        return DB_NONE;
    switch (directory_domain(arena, name_address_domain(session->account.address), &domain)) {
    case DB_FOUND: break;
    case DB_NONE: return DB_NONE;
    case DB_FAILED: return DB_FAILED;
    }
    if (!domain.outage_id)
        domain.outage_id = drill_outage(session->account.id);
    if (!domain.outage_id || domain.kind != DIRECTORY_RELAY || !(message_id = find_message_id(session)).p)
        return DB_NONE;
    struct sent_copy made = {
        .cell = session->account.cell,
        .account_id = session->account.id,
        .mailbox_id = mailbox->id,
        .outage_id = domain.outage_id,
    };
    if (sent_copy_find(arena, message_id, &made, found) != DB_FOUND)
        return DB_FAILED;
    if (found->there_id == mailbox->id)
        return DB_FOUND;
    made.kind = found->known ? SENT_COPY_AGAIN : SENT_COPY_NEW;
    *copy = arena_memdup(arena, &made, sizeof made);
    return DB_NONE;
}

static AWAITS enum db_write file_once(struct imap_session *session, const struct append *append,
                                      const struct mailbox *mailbox, struct accept_recipient *recipient)
{
    struct sent_copy_found found;
    struct sent_copy *copy;

    switch (find_sent(session, mailbox, &copy, &found)) {
    case DB_NONE: break;
    case DB_FAILED: return DB_UNDONE;
    case DB_FOUND:
        recipient->uid = found.uid;
        recipient->uidvalidity = found.uidvalidity;
        log_info("APPEND of what is in Sent already", log_slice("account", session->account.address));
        return DB_DONE;
    }
    struct accept_message message = {
        .cell = session->account.cell,
        .id = id_make(session->account.cell),
        .customer_id = session->account.customer_id,
        .account_id = session->account.id,
        .sender = SLICE(""),
        .received_ms = clock_now_ms(),
        .client = session->common.peer,
        .protocol = "IMAP",
        .prefix = SLICE(""),
        .spool = session->append,
        .recipients = recipient,
        .recipient_count = 1,
        .sent = copy,
    };

    *recipient = (struct accept_recipient){
        .address = session->account.address,
        .mailbox_id = mailbox->id,
        .flags = append->flags.bits,
        .keywords = append->flags.keywords,
        .keyword_count = append->flags.keyword_count,
        .internal_ms = append->internal_ms,
    };
    enum db_write written = accept_commit(&message, 1);
    return written == DB_REFUSED && copy ? DB_CONFLICT : written; /* perhaps it is being sent at this moment */
}

static AWAITS void file(struct imap_session *session, const struct append *append, const struct mailbox *mailbox)
{
    struct accept_recipient recipient = {.uid = 0};
    enum db_write written = file_once(session, append, mailbox, &recipient);

    if (written == DB_CONFLICT)
        written = file_once(session, append, mailbox, &recipient);
    reply_appended(session, written, &recipient);
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
    case DB_FOUND:
        if (!imap_held_refuses(session, mailbox.role))
            file(session, &append, &mailbox);
        return;
    case DB_NONE: imap_reply(session, "NO [TRYCREATE] There is no such mailbox"); return;
    case DB_FAILED: imap_unavailable(session); return;
    }
}
