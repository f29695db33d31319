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
 * NOT_FOUND_MS it was redirected or deleted there, if every mailbox says that it is not in it; it is kept here for its
 * time, and its row says so.
 *
 * Where a copy has been put is known (carry_again.c).  Copies that are there as they are here are not listed any more, so
 * a message with very many is carried CARRY_COPIES_MAX at a time.
 *
 * Flags are added, none is taken away: what its user has marked at the primary meanwhile stays.
 */
#include <string.h>

#define LOG_MODULE "carry"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "daemon/carry_session.h"
#include "protocols/mime.h"
#include "storage/body.h"
#include "storage/mailbox.h"

#define NOT_FOUND_MS (24 * 60 * 60 * (int64_t)1000)

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

/* Of the Received field that we have made (protocols/smtp_trace.c); what was made here, such as a notice, has none. */
static struct slice trace_of(struct arena *arena, struct slice header, int64_t message_id)
{
    struct slice field = mime_field(arena, header, "Received");
    char text[ID_TEXT_SIZE];

    id_print(message_id, text);
    return field.n && memmem(field.p, field.n, text, strlen(text)) ? slice_str(arena_printf(arena, "%s", text))
                                                                   : (struct slice){NULL, 0};
}

static AWAITS enum carry_answer read_head(struct carry_work *w)
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
    w->sought = (struct carry_sought){.id = message_id_of(w->arena, header_of(slice_skip(bytes, w->skip))),
                                      .size = w->item->size - w->skip};
    if (w->item->kind == CARRY_KIND_DELIVERED)
        w->sought.trace = trace_of(w->arena, header_of(slice_skip(bytes, w->skip)), w->item->message_id);
    return CARRY_DONE;
}

static bool is_plain(const struct carry_copy *copy)
{
    return slice_equal(copy->mailbox, SLICE("INBOX")) && !copy->flags && !copy->keyword_count;
}

/* \Deleted is a mark for a server's EXPUNGE, which a message that is still wanted would fall to. */
unsigned carry_item_flags(const struct carry_item *item, const struct carry_copy *copy)
{
    unsigned flags = copy->flags & ~(unsigned)MAILBOX_DELETED;

    return item->kind == CARRY_KIND_SENT ? flags | MAILBOX_SEEN : flags;
}

bool carry_item_keyword_refused(const struct carry_session *session, const struct carry_copy *copy)
{
    return copy->keyword_count &&
           (carry_session_refused_for(session, "CANNOT") || carry_session_refused_for(session, "LIMIT"));
}

static AWAITS enum carry_answer store(struct carry_work *w, uint32_t uid, unsigned flags, const struct slice *keywords,
                                      unsigned count)
{
    if (!flags && !count)
        return CARRY_DONE;
    return carry_session_answer(w->session, imap_client_store(w->session->client, uid, flags, keywords, count),
                                "storing flags");
}

enum carry_answer carry_item_store(struct carry_work *w, uint32_t uid, const struct carry_copy *copy)
{
    unsigned flags = carry_item_flags(w->item, copy);
    enum carry_answer answer = store(w, uid, flags, copy->keywords, copy->keyword_count);

    if (answer != CARRY_LATER || !carry_item_keyword_refused(w->session, copy))
        return answer;
    answer = store(w, uid, flags, NULL, 0);
    for (unsigned i = 0; i < copy->keyword_count && answer == CARRY_DONE; i++) {
        answer = store(w, uid, 0, &copy->keywords[i], 1);
        if (answer == CARRY_LATER && carry_item_keyword_refused(w->session, copy))
            answer = CARRY_DONE;
    }
    return answer;
}

/* ------------------------------------------------------------------ delivered */

/* Is it where the copy belongs already?  An INBOX copy belongs wherever delivery has put it. */
static AWAITS enum carry_answer look_in_place(struct carry_work *w, unsigned i)
{
    const struct carry_copy *copy = &w->copies.list[i];
    const struct imap_client_mailbox *target = carry_session_target(w->session, copy);
    enum carry_answer answer;
    uint32_t uid = 0;

    if (!target || target->no_select || slice_equal(copy->mailbox, SLICE("INBOX")))
        return CARRY_DONE;
    answer = carry_find_in(w->session, w->item, CARRY_THIS_COPYS, copy, target, &w->sought, &uid);
    if (answer == CARRY_DONE && uid) {
        answer = carry_item_store(w, uid, copy);
        if (answer == CARRY_DONE)
            carry_again_put(w, i, target->raw, 0, uid);
    }
    return answer;
}

static unsigned left(const struct carry_work *w)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->copies.count; i++)
        n += !w->placed[i];
    return n;
}

/* What COPY has made. */
static AWAITS enum carry_answer tell_copied(struct carry_work *w, unsigned i, const struct imap_client_mailbox *target,
                                            struct imap_client_uid there)
{
    enum carry_answer answer;

    if (!there.uid)
        return look_in_place(w, i);
    answer = carry_session_select(w->session, target);
    if (answer == CARRY_DONE)
        answer = carry_item_store(w, there.uid, &w->copies.list[i]);
    if (answer == CARRY_DONE)
        carry_again_put(w, i, target->raw, there.validity, there.uid);
    return answer;
}

/* From where it was found, which is selected, to where copy i belongs; keep: it stays there, too. */
static AWAITS enum carry_answer place(struct carry_work *w, const struct imap_client_mailbox *where, uint32_t uid,
                                      unsigned i, bool keep)
{
    const struct carry_copy *copy = &w->copies.list[i];
    const struct imap_client_mailbox *target;
    struct imap_client_uid there = {0};
    enum carry_answer answer;

    if (slice_equal(copy->mailbox, SLICE("INBOX"))) {
        answer = carry_item_store(w, uid, copy);
        if (answer == CARRY_DONE)
            carry_again_put(w, i, where->raw, 0, uid);
        return answer;
    }
    answer = carry_session_make(w->session, copy, &target);
    if (answer == CARRY_DONE && !keep)
        answer = carry_item_store(w, uid, copy);
    if (answer == CARRY_DONE)
        answer = carry_session_answer(w->session,
                                      keep ? imap_client_copy(w->session->client, uid, target->raw, &there)
                                           : imap_client_move(w->session->client, uid, target->raw, &there),
                                      keep ? "copying" : "moving");
    if (answer == CARRY_DONE && keep)
        return tell_copied(w, i, target, there);
    if (answer == CARRY_DONE)
        carry_again_put(w, i, target->raw, there.validity, there.uid);
    return answer;
}

/* One that is no copy's place, as the primary delivered it; else one that is: that stays where it is. */
static AWAITS enum carry_answer find_source(struct carry_work *w, const struct imap_client_mailbox **where,
                                            uint32_t *uid, bool *shared)
{
    enum carry_answer answer = carry_find(w->session, w->item, CARRY_NOBODYS, &w->sought, where, uid, &w->nowhere);

    *shared = false;
    if (*uid || answer != CARRY_DONE || (!w->item->placed && left(w) == w->copies.count))
        return answer;
    *shared = true;
    return carry_find(w->session, w->item, CARRY_ANY_COPYS, &w->sought, where, uid, &w->nowhere);
}

static AWAITS enum carry_answer place_all(struct carry_work *w)
{
    const struct carry_copies *copies = &w->copies;
    const struct imap_client_mailbox *where = NULL;
    enum carry_answer answer = carry_again(w);
    bool shared;
    uint32_t uid = 0;

    for (unsigned i = 0; i < copies->count && answer == CARRY_DONE; i++)
        if (!w->placed[i])
            answer = look_in_place(w, i);
    if (answer != CARRY_DONE || !left(w))
        return answer;
    answer = find_source(w, &where, &uid, &shared);
    if (answer != CARRY_DONE)
        return answer;
    if (!uid && left(w) == 1 && copies->total > 1 && !w->placed[0] && is_plain(&copies->list[0]))
        return CARRY_DONE; /* the others are in place, and of this one there is nothing to tell */
    if (!uid) {
        w->session->why = SLICE("the primary has taken it, and it is in none of its mailboxes yet");
        return CARRY_LATER;
    }
    for (unsigned i = copies->count; i-- > 0 && answer == CARRY_DONE;)
        if (!w->placed[i]) {
            bool last = left(w) == 1 && copies->untold == copies->count;

            answer = carry_session_select(w->session, where);
            if (answer == CARRY_DONE)
                answer = place(w, where, uid, i, shared || copies->in_inbox || !last);
        }
    return answer;
}

/* *final: whatever its copies are by now. */
static AWAITS enum carry_answer carry_delivered(struct carry_work *w, struct slice *note, bool *final)
{
    enum carry_answer answer;

    if (!w->copies.count || (w->copies.count == 1 && is_plain(&w->copies.list[0])))
        return CARRY_DONE;
    if ((answer = read_head(w)) != CARRY_DONE)
        return answer;
    if (!w->sought.id.p) {
        *note = SLICE("it has no Message-ID by which it could be found at the primary");
        *final = true;
        return CARRY_DONE;
    }
    if ((answer = carry_session_open(w->session)) != CARRY_DONE)
        return answer;
    answer = place_all(w);
    if (answer == CARRY_LATER && w->nowhere && w->item->made_ms + NOT_FOUND_MS < clock_now_ms()) {
        *note = w->session->why;
        *final = true;
        return CARRY_DONE;
    }
    return answer;
}

static AWAITS enum carry_answer carry_made(struct carry_work *w)
{
    enum carry_answer answer = w->copies.count ? read_head(w) : CARRY_DONE;

    if (answer == CARRY_DONE && w->copies.count)
        answer = carry_session_open(w->session);
    return answer == CARRY_DONE && w->copies.count ? carry_own(w) : answer;
}

/* ------------------------------------------------------------------ one message */

static enum carry_answer recorded(struct carry_session *session, enum db_write written)
{
    switch (written) {
    case DB_DONE: return CARRY_DONE;
    case DB_REFUSED: /* somebody else has begun, who knows what was done */
        log_info("another has taken it over", log_slice("account", session->account->address));
        return CARRY_DONE;
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN: break;
    }
    return carry_again_unrecorded(session);
}

static AWAITS enum carry_answer carry_mailbox_once(struct carry_work *w)
{
    enum carry_answer answer = carry_mailbox(w);

    return answer == CARRY_DONE ? recorded(w->session, carry_forget(w->item)) : answer;
}

static AWAITS enum carry_answer carry(struct carry_work *w)
{
    struct slice note = {NULL, 0};
    enum carry_answer answer;
    bool final = false;

    if (w->item->gone)
        return recorded(w->session, carry_forget(w->item));
    if (carry_copies(w->arena, w->item, &w->copies) == DB_FAILED) {
        w->session->why = SLICE("its copies could not be looked up");
        return CARRY_LATER;
    }
    if (!w->session->has_access && w->item->kind == CARRY_KIND_SENT && w->copies.count)
        return carry_send(w->session, w->item);
    if (!w->session->has_access && w->item->kind != CARRY_KIND_DELIVERED)
        return recorded(w->session, carry_forget(w->item));
    if (w->item->kind == CARRY_KIND_MAILBOX)
        return carry_mailbox_once(w);
    answer = !w->session->has_access                 ? CARRY_DONE
             : w->item->kind == CARRY_KIND_DELIVERED ? carry_delivered(w, &note, &final)
                                                     : carry_made(w);
    if (!carry_again_record(w) && answer == CARRY_DONE)
        answer = carry_again_unrecorded(w->session);
    if (answer != CARRY_DONE)
        return answer;
    answer = recorded(w->session,
                      carry_done(w->item, w->copies.list, w->copies.count, final || !w->session->has_access, note));
    if (answer == CARRY_DONE)
        log_info("carried", log_id("message", w->item->message_id), log_slice("account", w->session->account->address),
                 log_int("copies", w->copies.count), log_slice("note", note));
    return answer;
}

enum carry_answer carry_item_run(struct carry_session *session, struct carry_item *item)
{
    struct carry_work w = {.session = session, .item = item, .arena = arena_new(SIZE_MAX)};
    enum carry_answer answer;

    if (session->client)
        imap_client_until(session->client, session->until);
    answer = carry(&w);
    arena_free(&w.arena);
    return answer;
}
