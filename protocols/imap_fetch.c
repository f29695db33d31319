/*
 * imap_fetch: FETCH (RFC 3501 6.4.5, 7.4.2).
 *
 * The response to FETCH may be any size, and the client may read it slowly or never, so no task waits for it.  A
 * message's response is a list of pieces (text we made, and ranges of the message); they are written until
 * STREAM_OUTPUT_HIGH bytes are queued.  When the queue has sunk the session calls produce(), which goes on: with the
 * pieces at hand on the loop, with the next message in a task, because that must be read from the database.
 *
 * What needs no content (flags, dates, sizes) is in the session's list and takes no task at all.
 *
 * \Seen is set for all messages named before the first is sent; it is then part of what is told about each.
 */
#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "imap"
#include "core/clock.h"
#include "core/log.h"
#include "protocols/imap_ahead.h"
#include "protocols/imap_content.h"
#include "protocols/imap_session.h"

#define WRITE_BYTES (64 * 1024)
/* Copies of header fields and structures of one message, after which no further section of it is made: a small command
 * must not ask for a large header 64 times over. */
#define MESSAGE_MEMORY (4 * 1024 * 1024)
#define MESSAGE_READ (8 * 1024 * 1024) /* likewise, of headers that are gone through for the sake of their fields */
#define NEEDS_CONTENT (IMAP_FETCH_ENVELOPE | IMAP_FETCH_BODY | IMAP_FETCH_BODYSTRUCTURE)

struct piece {
    struct piece *next;
    struct slice bytes;
};

struct imap_fetching {
    struct imap_fetch what;
    uint32_t *indexes; /* in the command's arena */
    uint32_t count, at;
    struct imap_ahead ahead;
    struct imap_content content;
    struct evbuffer *text; /* what will be the next piece */
    struct piece *pieces, **last;
    bool gone;     /* a message was expunged by somebody else meanwhile */
    bool failed;   /* the database went away */
    size_t read;   /* of this message, see MESSAGE_READ */
    bool too_much; /* one message's sections take more than MESSAGE_MEMORY or MESSAGE_READ: the response ends early */
};

void imap_fetch_drop(struct imap_session *session)
{
    struct imap_fetching *f = session->fetching;

    if (!f)
        return;
    session->fetching = NULL;
    imap_content_close(&f->content);
    imap_ahead_drop(&f->ahead);
    evbuffer_free(f->text);
    free(f);
}

/* ------------------------------------------------------------------ pieces */

static void add_piece(struct imap_session *session, struct slice bytes)
{
    struct piece *piece = arena_alloc(session->message, sizeof *piece);

    piece->bytes = bytes;
    *session->fetching->last = piece;
    session->fetching->last = &piece->next;
}

static void text_to_piece(struct imap_session *session)
{
    struct evbuffer *text = session->fetching->text;
    size_t n = evbuffer_get_length(text);
    char *copy;

    if (!n)
        return;
    copy = arena_alloc(session->message, n);
    evbuffer_remove(text, copy, n);
    add_piece(session, slice_of(copy, n));
}

/* True when all pieces are written. */
static bool write_pieces(struct imap_session *session)
{
    struct imap_fetching *f = session->fetching;

    while (f->pieces && session->common.stream && stream_output_pending(session->common.stream) < STREAM_OUTPUT_HIGH) {
        struct slice *rest = &f->pieces->bytes;
        size_t n = rest->n < WRITE_BYTES ? rest->n : WRITE_BYTES;

        imap_write(session, slice_of(rest->p, n));
        *rest = slice_skip(*rest, n);
        if (!rest->n)
            f->pieces = f->pieces->next;
    }
    if (f->pieces)
        return false;
    f->last = &f->pieces;
    imap_content_close(&f->content);
    arena_reset(session->message);
    return true;
}

/* ------------------------------------------------------------------ one message */

static struct slice section_bytes(struct imap_session *session, const struct imap_section *section, bool *found)
{
    struct imap_fetching *f = session->fetching;
    const struct mime_part *part, *message;

    *found = true;
    if (section->kind == IMAP_SECTION_ALL && !section->part_depth)
        return f->content.bytes;
    part = mime_find(imap_content_root(session->message, &f->content), section->part, section->part_depth);
    message = part && section->part_depth ? (part->message ? part->child : NULL) : part;
    switch (section->kind) {
    case IMAP_SECTION_ALL:
        if (part)
            return part->body;
        break;
    case IMAP_SECTION_MIME:
        if (part)
            return part->header;
        break;
    case IMAP_SECTION_HEADER: /* of the message, or of a message/rfc822 part's message */
        if (message)
            return message->header;
        break;
    case IMAP_SECTION_TEXT:
        if (message)
            return message->body;
        break;
    case IMAP_SECTION_FIELDS:
    case IMAP_SECTION_FIELDS_NOT:
        if (message) {
            f->read += message->header.n;
            return mime_fields(session->message, message->header, section->fields, section->field_count,
                               section->kind == IMAP_SECTION_FIELDS_NOT);
        }
        break;
    }
    *found = false;
    return (struct slice){NULL, 0};
}

static void add_section(struct imap_session *session, const struct imap_section *section)
{
    struct imap_fetching *f = session->fetching;
    bool found;
    struct slice bytes = section_bytes(session, section, &found);

    evbuffer_add_printf(f->text, " %s", section->label);
    if (section->partial) {
        evbuffer_add_printf(f->text, "<%" PRIu32 ">", section->offset);
        bytes = slice_skip(bytes, section->offset);
        if (bytes.n > section->length)
            bytes.n = section->length;
    }
    if (!found) {
        evbuffer_add_printf(f->text, " NIL");
        return;
    }
    evbuffer_add_printf(f->text, " {%zu}\r\n", bytes.n);
    text_to_piece(session);
    if (bytes.n)
        add_piece(session, bytes);
}

/* Flags are written by imap_write_flags(), straight to the stream: so they come first, with what else is at hand. */
static void write_attributes(struct imap_session *session, const struct imap_item *item, uint32_t number)
{
    unsigned items = session->fetching->what.items;
    char date[CLOCK_IMAP_SIZE];
    const char *space = "";

    imap_printf(session, "* %" PRIu32 " FETCH (", number);
    if (items & IMAP_FETCH_UID || session->uid) {
        imap_printf(session, "UID %" PRId64, item->uid);
        space = " ";
    }
    if (items & IMAP_FETCH_FLAGS) {
        imap_printf(session, "%sFLAGS ", space);
        imap_write_flags(session, item);
        space = " ";
    }
    if (items & IMAP_FETCH_INTERNALDATE) {
        imap_printf(session, "%sINTERNALDATE \"%s\"", space, clock_imap(item->internal_ms, date));
        space = " ";
    }
    if (items & IMAP_FETCH_SIZE)
        imap_printf(session, "%sRFC822.SIZE %" PRIu64, space, item->size);
}

static void add_structures(struct imap_session *session)
{
    struct imap_fetching *f = session->fetching;
    const struct mime_part *root = NULL;

    if (f->what.items & NEEDS_CONTENT)
        root = imap_content_root(session->message, &f->content);
    if (f->what.items & IMAP_FETCH_ENVELOPE) {
        evbuffer_add_printf(f->text, " ENVELOPE ");
        mime_write_envelope(f->text, session->message, root);
    }
    if (f->what.items & IMAP_FETCH_BODY) {
        evbuffer_add_printf(f->text, " BODY ");
        mime_write_structure(f->text, session->message, root, false);
    }
    if (f->what.items & IMAP_FETCH_BODYSTRUCTURE) {
        evbuffer_add_printf(f->text, " BODYSTRUCTURE ");
        mime_write_structure(f->text, session->message, root, true);
    }
}

/* A list must not begin with a space when no attribute came before. */
static void drop_first_space(struct imap_session *session)
{
    unsigned before = IMAP_FETCH_UID | IMAP_FETCH_FLAGS | IMAP_FETCH_INTERNALDATE | IMAP_FETCH_SIZE;
    struct imap_fetching *f = session->fetching;

    if (!session->uid && !(f->what.items & before) && f->pieces)
        f->pieces->bytes = slice_skip(f->pieces->bytes, 1);
}

/* False: nothing was begun. */
static AWAITS bool begin_message(struct imap_session *session)
{
    struct imap_fetching *f = session->fetching;
    const struct imap_item *item = &session->selected.items[f->indexes[f->at]];
    uint32_t number = f->indexes[f->at] + 1;

    switch (
        imap_ahead_open(session->message, &f->ahead, &session->selected, f->indexes, f->at, f->count, &f->content)) {
    case DB_FOUND: break;
    case DB_NONE: f->gone = true; return false;
    case DB_FAILED: f->failed = true; return false;
    }
    f->read = 0;
    write_attributes(session, item, number);
    add_structures(session);
    for (const struct imap_section *s = f->what.sections; s && !f->too_much; s = s->next) {
        add_section(session, s);
        f->too_much = s->next && (arena_used(session->message) > MESSAGE_MEMORY || f->read > MESSAGE_READ);
    }
    evbuffer_add_printf(f->text, ")\r\n");
    text_to_piece(session);
    drop_first_space(session);
    return true;
}

/* ------------------------------------------------------------------ the whole */

static void conclude(struct imap_session *session)
{
    struct imap_fetching *f = session->fetching;

    if (f->failed)
        imap_unavailable(session);
    else if (f->too_much)
        imap_reply(session, "NO [LIMIT] That is too much of one message at a time");
    else if (f->gone)
        imap_reply(session, "NO [EXPUNGEISSUED] Some of the messages are gone");
    else
        imap_reply(session, "OK FETCH completed");
    imap_fetch_drop(session);
}

/* In a task: messages until the output is full. */
static AWAITS void next_messages(void *arg)
{
    struct imap_session *session = arg;
    struct imap_fetching *f = session->fetching;

    while (session->common.stream && f->at < f->count && !f->failed && !f->too_much &&
           stream_output_pending(session->common.stream) < STREAM_OUTPUT_HIGH) {
        bool begun = begin_message(session);

        if (begun && !write_pieces(session))
            return;
        f->at++;
        if (!begun) {
            imap_content_close(&f->content);
            arena_reset(session->message);
        }
    }
}

static bool needs_content(const struct imap_fetching *f)
{
    return f->what.sections || f->what.items & NEEDS_CONTENT;
}

static void produce(void *arg)
{
    struct imap_session *session = arg;
    struct imap_fetching *f = session->fetching;

    if (f->pieces) {
        if (!write_pieces(session))
            return;
        f->at++;
    }
    while (!needs_content(f) && session->common.stream && f->at < f->count &&
           stream_output_pending(session->common.stream) < STREAM_OUTPUT_HIGH) {
        write_attributes(session, &session->selected.items[f->indexes[f->at]], f->indexes[f->at] + 1);
        imap_write(session, SLICE(")\r\n"));
        f->at++;
    }
    if (f->at < f->count && !f->failed && !f->too_much) {
        if (needs_content(f))
            session_run(&session->common, next_messages);
        return;
    }
    conclude(session);
    imap_session_finish(session);
}

/* BODY[] and its like set \Seen, unless the mailbox was opened with EXAMINE (6.3.2). */
static AWAITS bool set_seen(struct imap_session *session)
{
    struct imap_fetching *f = session->fetching;
    struct imap_selected *s = &session->selected;
    int64_t *uids = arena_array(session->command, f->count, sizeof *uids), modseq;
    unsigned count = 0;

    for (uint32_t i = 0; i < f->count; i++)
        if (!(s->items[f->indexes[i]].flags & MAILBOX_SEEN))
            uids[count++] = s->items[f->indexes[i]].uid;
    if (!count)
        return true;
    if (mailbox_store(s->id, uids, count, MAILBOX_STORE_ADD, MAILBOX_SEEN, NULL, 0, &modseq) != DB_DONE)
        return false;
    for (uint32_t i = 0; i < f->count; i++)
        s->items[f->indexes[i]].flags |= MAILBOX_SEEN;
    f->what.items |= IMAP_FETCH_FLAGS;
    return true;
}

AWAITS void imap_command_fetch(struct imap_session *session)
{
    struct imap_cursor *c = &session->cursor;
    struct imap_fetching *f;
    struct imap_fetch what;
    struct imap_set set;
    uint32_t *indexes, count;

    if (!imap_take_char(c, ' ') || !imap_take_set(c, &set) || !imap_take_char(c, ' ') || !imap_take_fetch(c, &what) ||
        !imap_at_end(c)) {
        imap_bad(session, "FETCH wants a set of messages and what of them");
        return;
    }
    if (!imap_selected_pick(session, &set, &indexes, &count)) {
        imap_bad(session, "There is no such message number");
        return;
    }
    f = calloc(1, sizeof *f);
    if (!f || !(f->text = evbuffer_new()))
        abort();
    f->what = what;
    f->indexes = indexes;
    f->count = count;
    f->last = &f->pieces;
    session->fetching = f;
    if (what.sets_seen && !session->selected.read_only && !set_seen(session)) {
        imap_fetch_drop(session);
        imap_unavailable(session);
        return;
    }
    session->common.produce = produce;
}
