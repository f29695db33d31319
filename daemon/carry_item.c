/*
 * carry_item: one message of one account.
 *
 * A message that the primary has taken (delivered).  Its copies here say what its reader made of it:
 *
 *     one copy in INBOX, no flags          nothing to do; the primary is not asked
 *     in INBOX, with flags                 STORE, wherever the message is: a filter may have filed it
 *     in a mailbox                         STORE, then MOVE
 *     in several                           COPY for each but the last, and STORE on what that made
 *     none (deleted)                       nothing: it stays where delivery has put it
 *
 * First it is looked for in the mailboxes where its copies belong: one that is there was carried before, perhaps by a
 * worker that died then, or the server has filed it there itself; only its flags are told.  So each step may be
 * repeated.  One that is not found yet is on its way inside the primary, which has queues, too: later.  After
 * NOT_FOUND_MS it was redirected or deleted there; it is kept here for its time, and its row says so.
 *
 * A message that is here only (made, sent) is looked for where it belongs, and appended if it is not there.  Without a
 * Message-ID it is known by its exact size, and only if somebody may have appended it before: two notes of one length
 * are two notes.
 *
 * Flags are added, none is taken away: what its user has marked at the primary meanwhile stays.
 */
#include <string.h>

#define LOG_MODULE "carry"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/carry_session.h"
#include "protocols/mime.h"
#include "storage/body.h"
#include "storage/carry_copy.h"
#include "storage/mailbox.h"

#define NOT_FOUND_MS (24 * 60 * 60 * (int64_t)1000)
#define BYTES_A_MS 20      /* a mailbox that takes less than 20 kB/s is too slow */
#define LEASE_MARGIN 10000 /* what is left of a lease when the server's time is over */

struct work {
    struct carry_session *session;
    struct carry_item *item;
    struct arena *arena;
    struct carry_copy *copies;
    unsigned count;
    bool placed[50];   /* of each copy: its flags are at the primary, at its place */
    struct slice head; /* the first of the message */
    uint64_t skip;     /* of what is stored: the Return-Path line */
    struct carry_sought sought;
};

/* ------------------------------------------------------------------ the message */

static struct slice header_of(struct slice bytes)
{
    const char *end = memmem(bytes.p, bytes.n, "\r\n\r\n", 4);

    return slice_of(bytes.p, end ? (size_t)(end - bytes.p) + 4 : bytes.n);
}

/* "<...>", and nothing else. */
static struct slice message_id_of(struct arena *arena, struct slice header)
{
    struct slice value = mime_field(arena, header, "Message-ID");
    const char *begin = value.n ? memchr(value.p, '<', value.n) : NULL, *end;

    if (!begin)
        return (struct slice){NULL, 0};
    value = slice_skip(value, (size_t)(begin - value.p));
    end = memchr(value.p, '>', value.n);
    if (!end || end - value.p < 2)
        return (struct slice){NULL, 0};
    value.n = (size_t)(end - value.p) + 1;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] <= ' ' || value.p[i] > '~')
            return (struct slice){NULL, 0};
    return value.n <= 900 ? value : (struct slice){NULL, 0};
}

static AWAITS enum carry_answer read_head(struct work *w)
{
    struct slice bytes;

    switch (body_read(w->arena, w->item->message_id, 0, &bytes)) {
    case DB_FOUND: break;
    case DB_NONE: bytes = SLICE(""); break;
    case DB_FAILED: w->session->why = SLICE("the message could not be read"); return CARRY_LATER;
    }
    if (w->item->traced && bytes.n > 12 && strncasecmp(bytes.p, "Return-Path:", 12) == 0) {
        const char *end = memchr(bytes.p, '\n', bytes.n);

        w->skip = end ? (uint64_t)(end + 1 - bytes.p) : 0;
    }
    w->head = header_of(slice_skip(bytes, w->skip));
    w->sought = (struct carry_sought){.id = message_id_of(w->arena, w->head), .size = w->item->size - w->skip};
    return CARRY_DONE;
}

static bool is_plain(const struct carry_copy *copy)
{
    return slice_equal(copy->mailbox, SLICE("INBOX")) && !copy->flags && !copy->keyword_count;
}

/* \Deleted is a mark for a server's EXPUNGE, which a message that is still wanted would fall to. */
static unsigned flags_of(const struct work *w, const struct carry_copy *copy)
{
    unsigned flags = copy->flags & ~(unsigned)MAILBOX_DELETED;

    return w->item->kind == CARRY_KIND_SENT ? flags | MAILBOX_SEEN : flags;
}

static AWAITS enum carry_answer store(struct work *w, uint32_t uid, const struct carry_copy *copy)
{
    unsigned flags = flags_of(w, copy);

    if (!flags && !copy->keyword_count)
        return CARRY_DONE;
    return carry_session_answer(w->session,
                                imap_client_store(w->session->client, uid, flags, copy->keywords, copy->keyword_count),
                                "storing flags");
}

/* ------------------------------------------------------------------ delivered */

/* Is it where the copy belongs already?  An INBOX copy belongs wherever delivery has put it. */
static AWAITS enum carry_answer look_in_place(struct work *w, unsigned i)
{
    const struct imap_client_mailbox *target = carry_session_target(w->session, &w->copies[i]);
    enum carry_answer answer;
    uint32_t uid = 0;

    if (!target || target->no_select || slice_equal(w->copies[i].mailbox, SLICE("INBOX")))
        return CARRY_DONE;
    answer = carry_session_look(w->session, target, &w->sought, &uid);
    if (answer == CARRY_DONE && uid) {
        carry_session_use(w->session, target->raw, uid);
        answer = store(w, uid, &w->copies[i]);
        w->placed[i] = answer == CARRY_DONE;
    }
    return answer;
}

static bool is_last_resort(const struct imap_client_mailbox *mailbox)
{
    return mailbox->use.p &&
           (slice_equal_nocase(mailbox->use, SLICE("\\All")) || slice_equal_nocase(mailbox->use, SLICE("\\Flagged")));
}

/* INBOX, then the others, then those that only show what is elsewhere. */
static AWAITS enum carry_answer find(struct work *w, const struct imap_client_mailbox **where, uint32_t *uid)
{
    struct imap_client_mailboxes *all = &w->session->mailboxes;
    enum carry_answer answer = CARRY_DONE;

    *uid = 0;
    for (unsigned pass = 0; pass < 3; pass++)
        for (unsigned i = 0; i < all->count; i++) {
            const struct imap_client_mailbox *mailbox = &all->list[i];
            unsigned rank = slice_equal(mailbox->name, SLICE("INBOX")) ? 0 : is_last_resort(mailbox) ? 2 : 1;

            if (rank != pass || mailbox->no_select)
                continue;
            answer = carry_session_look(w->session, mailbox, &w->sought, uid);
            if (answer == CARRY_LOST)
                return answer;
            if (answer == CARRY_DONE && *uid) { /* one that cannot be opened hides nothing from the others */
                *where = mailbox;
                return CARRY_DONE;
            }
        }
    return CARRY_DONE;
}

static unsigned left(const struct work *w)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->count; i++)
        n += !w->placed[i];
    return n;
}

/* From where it was found to where copy i belongs; keep: it stays there, too. */
static AWAITS enum carry_answer place(struct work *w, const struct imap_client_mailbox *where, uint32_t uid, unsigned i,
                                      bool keep)
{
    const struct carry_copy *copy = &w->copies[i];
    const struct imap_client_mailbox *target;
    enum carry_answer answer;
    uint32_t there = 0;

    if (slice_equal(copy->mailbox, SLICE("INBOX")))
        return store(w, uid, copy);
    answer = carry_session_make(w->session, copy, &target);
    if (answer == CARRY_DONE && !keep)
        answer = carry_session_select(w->session, where);
    if (answer == CARRY_DONE && !keep)
        answer = store(w, uid, copy);
    if (answer == CARRY_DONE)
        answer = carry_session_select(w->session, where);
    if (answer == CARRY_DONE)
        answer = carry_session_answer(w->session,
                                      keep ? imap_client_copy(w->session->client, uid, target->raw, &there)
                                           : imap_client_move(w->session->client, uid, target->raw, &there),
                                      keep ? "copying" : "moving");
    if (answer != CARRY_DONE)
        return answer;
    if (!keep) {
        carry_session_use(w->session, target->raw, there);
        return CARRY_DONE;
    }
    return look_in_place(w, i);
}

static AWAITS enum carry_answer place_all(struct work *w)
{
    const struct imap_client_mailbox *where = NULL;
    enum carry_answer answer = CARRY_DONE;
    bool in_inbox = false;
    uint32_t uid = 0;

    for (unsigned i = 0; i < w->count && answer == CARRY_DONE; i++)
        answer = look_in_place(w, i);
    if (answer != CARRY_DONE || !left(w))
        return answer;
    answer = find(w, &where, &uid);
    if (answer != CARRY_DONE)
        return answer;
    for (unsigned i = 0; i < w->count; i++)
        in_inbox |= slice_equal(w->copies[i].mailbox, SLICE("INBOX"));
    if (!uid && in_inbox && left(w) == 1 && left(w) < w->count && is_plain(&w->copies[0]))
        return CARRY_DONE; /* the others are in place, and of this one there is nothing to tell */
    if (!uid) {
        w->session->why = SLICE("the primary has taken it, and it is in none of its mailboxes yet");
        return CARRY_LATER;
    }
    carry_session_use(w->session, where->raw, uid);
    for (unsigned i = w->count; i-- > 0 && answer == CARRY_DONE;)
        if (!w->placed[i]) {
            answer = carry_session_select(w->session, where);
            if (answer == CARRY_DONE)
                answer = place(w, where, uid, i, in_inbox || left(w) > 1);
            w->placed[i] = answer == CARRY_DONE;
        }
    return answer;
}

static AWAITS enum carry_answer carry_delivered(struct work *w, struct slice *note)
{
    enum carry_answer answer;

    if (!w->count || (w->count == 1 && is_plain(&w->copies[0])))
        return CARRY_DONE;
    if ((answer = read_head(w)) != CARRY_DONE)
        return answer;
    if (!w->sought.id.p) {
        *note = SLICE("it has no Message-ID by which it could be found at the primary");
        return CARRY_DONE;
    }
    if ((answer = carry_session_open(w->session)) != CARRY_DONE)
        return answer;
    answer = place_all(w);
    if (answer == CARRY_LATER && w->item->made_ms + NOT_FOUND_MS < clock_now_ms()) {
        *note = w->session->why;
        return CARRY_DONE;
    }
    return answer;
}

/* ------------------------------------------------------------------ what is here only */

static AWAITS bool read_content(void *arg, uint64_t offset, struct slice *out)
{
    struct work *w = arg;

    *out = (struct slice){NULL, 0};
    arena_reset(w->arena);
    return body_read(w->arena, w->item->message_id, offset + w->skip, out) == DB_FOUND;
}

/* The lease lasts longer than the server is given. */
static AWAITS enum carry_answer extend(struct work *w, uint64_t bytes)
{
    unsigned lease = CARRY_LEASE_MS + (unsigned)(bytes / BYTES_A_MS);

    if (carry_begin(w->item, lease, true) != DB_DONE) {
        w->session->why = SLICE("its time could not be made longer");
        return CARRY_LATER;
    }
    imap_client_until(w->session->client, clock_steady_ms() + lease - LEASE_MARGIN);
    return CARRY_DONE;
}

static AWAITS enum carry_answer append(struct work *w, const struct carry_copy *copy, struct slice raw)
{
    struct carry_session *session = w->session;
    struct imap_client_append content = {
        .raw = raw,
        .flags = flags_of(w, copy),
        .keywords = copy->keywords,
        .keyword_count = copy->keyword_count,
        .internal_ms = copy->internal_ms,
        .size = w->sought.size,
        .read = read_content,
        .arg = w,
    };
    enum carry_answer answer = extend(w, content.size);
    struct arena *whole = w->arena;

    if (answer != CARRY_DONE)
        return answer;
    w->arena = arena_new(SIZE_MAX); /* of one piece at a time */
    answer = carry_session_answer(session, imap_client_append(session->client, &content), "appending");
    arena_free(&w->arena);
    w->arena = whole;
    return answer;
}

static AWAITS enum carry_answer put_there(struct work *w, const struct carry_copy *copy)
{
    const struct imap_client_mailbox *target;
    enum carry_answer answer = carry_session_make(w->session, copy, &target);
    uint32_t uid = 0;

    if (answer != CARRY_DONE)
        return answer;
    w->sought.exact = true;
    w->sought.any_size = w->item->kind == CARRY_KIND_SENT && w->sought.id.p;
    if (w->sought.id.p || w->item->attempts)
        answer = carry_session_look(w->session, target, &w->sought, &uid);
    if (answer != CARRY_DONE)
        return answer;
    if (!uid)
        return append(w, copy, target->raw);
    carry_session_use(w->session, target->raw, uid);
    return store(w, uid, copy);
}

static AWAITS enum carry_answer carry_own(struct work *w)
{
    enum carry_answer answer = w->count ? read_head(w) : CARRY_DONE;

    if (answer == CARRY_DONE && w->count)
        answer = carry_session_open(w->session);
    for (unsigned i = 0; i < w->count && answer == CARRY_DONE; i++)
        answer = put_there(w, &w->copies[i]);
    return answer;
}

/* ------------------------------------------------------------------ one message */

static AWAITS enum carry_answer carry(struct work *w)
{
    struct slice note = {NULL, 0};
    enum carry_answer answer;

    switch (carry_copies(w->arena, w->item, &w->copies, &w->count)) {
    case DB_FOUND:
    case DB_NONE: break;
    case DB_FAILED: w->session->why = SLICE("its copies could not be looked up"); return CARRY_LATER;
    }
    if (!w->session->has_access && w->item->kind == CARRY_KIND_SENT && w->count)
        return carry_send(w->session, w->item);
    if (!w->session->has_access && w->item->kind != CARRY_KIND_DELIVERED) {
        answer = carry_forget(w->item) == DB_DONE ? CARRY_DONE : CARRY_LATER;
        w->session->why = SLICE("that could not be recorded");
        return answer;
    }
    answer = !w->session->has_access                 ? CARRY_DONE
             : w->item->kind == CARRY_KIND_DELIVERED ? carry_delivered(w, &note)
                                                     : carry_own(w);
    if (answer != CARRY_DONE)
        return answer;
    if (carry_done(w->item, w->copies, w->count, note) != DB_DONE) {
        w->session->why = SLICE("that could not be recorded");
        return CARRY_LATER;
    }
    log_info("carried", log_id("message", w->item->message_id), log_slice("account", w->session->account->address),
             log_int("copies", w->count), log_slice("note", note));
    return CARRY_DONE;
}

enum carry_answer carry_item_run(struct carry_session *session, struct carry_item *item)
{
    struct work w = {.session = session, .item = item, .arena = arena_new(SIZE_MAX)};
    enum carry_answer answer;

    if (session->client)
        imap_client_until(session->client, clock_steady_ms() + CARRY_LEASE_MS - LEASE_MARGIN);
    answer = carry(&w);
    arena_free(&w.arena);
    return answer;
}
