/*
 * carry_find: which message at the primary is which.
 *
 * Servers search for what contains a Message-ID, and several messages may have one: what a mailing list sent, and what
 * came directly.  So the size decides: as delivered it is that of what was sent and a few fields that servers add in
 * front (Received, Delivered-To, what a spam filter says), never much less.  One that is known to be another's does
 * not fit: what this session has met (used), and what the database knows (storage/carry_place.h).  Of those that fit it
 * is the one in whose Received field our id of the message is; else, if the server has not shown yet that it keeps
 * these, the nearest in size.  Rejected: size alone, as all of them have grown by the same, and so a smaller one is
 * nearer; and to search for both fields at once, which has a server that has indexed the one read the header of all that
 * the mailbox has.
 *
 * A server that has no index of Message-IDs compares each search with all that the mailbox has, and a large outage would
 * cost it the square of what was delivered.  So the INBOX is searched around the message found last, as what is carried
 * in order was delivered in order, mostly; in all of it only when that finds nothing.
 *
 * Three answers are told apart: it is there, it is not, and it cannot be told now.  Only a search of every mailbox says
 * that it is not; a mailbox that is not for us, or has gone meanwhile (RFC 5530: NOPERM, NONEXISTENT), is none.
 */
#include <string.h>

#include "daemon/carry_session.h"

#define FOUND_MAX 200
#define LESS_MAX 2048         /* a message may lose so much on its way to the mailbox */
#define MORE_MAX (256 * 1024) /* and gain so much */
#define NEAR_BEFORE 50        /* UIDs around the last */
#define NEAR_AFTER 500

static struct carry_use *find_use(struct carry_session *session, struct slice raw, uint32_t uid)
{
    for (unsigned i = 0; i < session->used_count; i++)
        if (session->used[i].uid == uid && slice_equal(session->used[i].raw, raw))
            return &session->used[i];
    return NULL;
}

void carry_find_use(struct carry_session *session, const struct carry_item *item, const struct carry_copy *copy)
{
    const struct carry_spot *spot = &copy->there;
    struct carry_use *use = find_use(session, spot->mailbox, spot->uid);

    if (!spot->uid)
        return;
    if (!use && session->used_count < CARRY_USED_MAX)
        use = &session->used[session->used_count++];
    if (!use) { /* the oldest, about */
        memmove(session->used, session->used + 1, (CARRY_USED_MAX - 1) * sizeof *session->used);
        use = &session->used[CARRY_USED_MAX - 1];
    }
    *use = (struct carry_use){arena_slice(session->arena, spot->mailbox), spot->uid, item->message_id, copy->mailbox_id,
                              copy->uid};
}

static bool is_anothers(struct carry_session *session, const struct carry_item *item, enum carry_whose whose,
                        const struct carry_copy *copy, struct slice raw, uint32_t uid)
{
    const struct carry_use *use = find_use(session, raw, uid);

    if (!use)
        return false;
    switch (whose) {
    case CARRY_NOBODYS: break;
    case CARRY_THIS_COPYS:
        return use->message_id != item->message_id || use->mailbox_id != copy->mailbox_id || use->copy_uid != copy->uid;
    case CARRY_ANY_COPYS: return use->message_id != item->message_id;
    }
    return true;
}

static bool fits(const struct carry_sought *sought, uint64_t size)
{
    if (sought->any_size)
        return true;
    if (sought->exact)
        return size == sought->size;
    return size + LESS_MAX >= sought->size && size <= sought->size + MORE_MAX;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* What the database knows of those that were found.  False: it cannot be asked. */
static AWAITS bool ask_taken(const struct carry_item *item, enum carry_whose whose, const struct carry_copy *copy,
                             struct slice raw, uint32_t validity, const struct imap_client_item *items, unsigned count,
                             bool taken[])
{
    static const struct carry_copy nobody = {.mailbox_id = -1, .uid = -1};
    uint32_t uids[FOUND_MAX];

    for (unsigned i = 0; i < count; i++)
        uids[i] = items[i].uid;
    if (whose == CARRY_NOBODYS)
        copy = &nobody;
    return carry_taken(item, whose == CARRY_ANY_COPYS ? NULL : copy, raw, validity, uids, count, taken) == DB_FOUND;
}

static AWAITS enum imap_client_answer search(struct carry_session *session, const struct carry_sought *sought,
                                             bool near, uint32_t *uids, unsigned *count)
{
    uint32_t last = session->near;

    if (!sought->id.p)
        return imap_client_search_size(session->client, sought->size, uids, FOUND_MAX, count);
    if (!near)
        return imap_client_search_id(session->client, sought->id, 0, 0, uids, FOUND_MAX, count);
    return imap_client_search_id(session->client, sought->id, last > NEAR_BEFORE ? last - NEAR_BEFORE : 1,
                                 last < UINT32_MAX - NEAR_AFTER ? last + NEAR_AFTER : UINT32_MAX, uids, FOUND_MAX,
                                 count);
}

/* Leaves those that went through here under this message's id, if the server can tell. */
static AWAITS enum carry_answer keep_traced(struct carry_session *session, const struct carry_sought *sought,
                                            struct imap_client_item *items, unsigned *count)
{
    uint32_t uids[FOUND_MAX], with[FOUND_MAX];
    unsigned found = 0, kept = 0;
    enum carry_answer answer;

    if (!sought->trace.p || !*count)
        return CARRY_DONE;
    for (unsigned i = 0; i < *count; i++)
        uids[i] = items[i].uid;
    answer = carry_session_answer(
        session, imap_client_search_trace(session->client, sought->trace, uids, *count, with, FOUND_MAX, &found),
        "searching");
    session->traces |= answer == CARRY_DONE && found;
    if (answer != CARRY_DONE || !session->traces)
        return answer;
    for (unsigned i = 0; i < *count; i++)
        for (unsigned k = 0; k < found; k++)
            if (items[i].uid == with[k]) {
                items[kept++] = items[i];
                break;
            }
    *count = kept;
    return CARRY_DONE;
}

/* In the mailbox that is selected. */
static AWAITS enum carry_answer find_selected(struct carry_session *session, const struct carry_item *item,
                                              enum carry_whose whose, const struct carry_copy *copy,
                                              const struct imap_client_mailbox *mailbox,
                                              const struct carry_sought *sought, bool near, uint32_t *uid)
{
    struct imap_client_item items[FOUND_MAX];
    uint32_t uids[FOUND_MAX];
    bool taken[FOUND_MAX];
    unsigned count = 0, found = 0, fit = 0;
    enum carry_answer answer = carry_session_answer(session, search(session, sought, near, uids, &count), "searching");
    const struct imap_client_item *best = NULL;

    if (answer == CARRY_DONE && count)
        answer = carry_session_answer(session, imap_client_fetch(session->client, uids, count, items, &found),
                                      "asking for sizes");
    if (answer != CARRY_DONE || !found)
        return answer;
    if (!ask_taken(item, whose, copy, mailbox->raw, imap_client_validity(session->client), items, found, taken)) {
        session->why = SLICE("what is known of the primary's mailboxes could not be looked up");
        return CARRY_LATER;
    }
    for (unsigned i = 0; i < found; i++)
        if (fits(sought, items[i].size) && !taken[i] &&
            !is_anothers(session, item, whose, copy, mailbox->raw, items[i].uid))
            items[fit++] = items[i];
    answer = keep_traced(session, sought, items, &fit);
    for (unsigned i = 0; answer == CARRY_DONE && i < fit; i++)
        if (!best || distance(items[i].size, sought->size) < distance(best->size, sought->size))
            best = &items[i];
    if (best)
        *uid = best->uid;
    return answer;
}

enum carry_answer carry_find_in(struct carry_session *session, const struct carry_item *item, enum carry_whose whose,
                                const struct carry_copy *copy, const struct imap_client_mailbox *mailbox,
                                const struct carry_sought *sought, uint32_t *uid)
{
    bool inbox = slice_equal(mailbox->name, SLICE("INBOX")) && sought->id.p;
    enum carry_answer answer = carry_session_select(session, mailbox);

    *uid = 0;
    if (answer == CARRY_DONE && inbox && session->near)
        answer = find_selected(session, item, whose, copy, mailbox, sought, true, uid);
    if (answer == CARRY_DONE && !*uid)
        answer = find_selected(session, item, whose, copy, mailbox, sought, false, uid);
    if (inbox && *uid)
        session->near = *uid;
    return answer;
}

static bool is_last_resort(const struct imap_client_mailbox *mailbox)
{
    return mailbox->use.p &&
           (slice_equal_nocase(mailbox->use, SLICE("\\All")) || slice_equal_nocase(mailbox->use, SLICE("\\Flagged")));
}

static bool is_none_of_ours(const struct carry_session *session)
{
    struct slice code = slice_str(imap_client_code(session->client));

    return slice_equal_nocase(code, SLICE("NOPERM")) || slice_equal_nocase(code, SLICE("NONEXISTENT"));
}

/* INBOX, then the others, then those that only show what is elsewhere. */
enum carry_answer carry_find(struct carry_session *session, const struct carry_item *item, enum carry_whose whose,
                             const struct carry_sought *sought, const struct imap_client_mailbox **where, uint32_t *uid,
                             bool *nowhere)
{
    struct imap_client_mailboxes *all = &session->mailboxes;
    bool searched = true;

    *nowhere = false;
    *uid = 0;
    for (unsigned pass = 0; pass < 3; pass++)
        for (unsigned i = 0; i < all->count; i++) {
            const struct imap_client_mailbox *mailbox = &all->list[i];
            unsigned rank = slice_equal(mailbox->name, SLICE("INBOX")) ? 0 : is_last_resort(mailbox) ? 2 : 1;

            if (rank != pass || mailbox->no_select)
                continue;
            switch (carry_find_in(session, item, whose, NULL, mailbox, sought, uid)) {
            case CARRY_DONE:
                if (*uid) {
                    *where = mailbox;
                    return CARRY_DONE;
                }
                break;
            case CARRY_LATER: searched &= is_none_of_ours(session); break; /* it hides nothing from the others */
            case CARRY_LOST: return CARRY_LOST;
            }
        }
    *nowhere = searched && all->count < IMAP_CLIENT_MAILBOXES_MAX;
    return *nowhere ? CARRY_DONE : CARRY_LATER;
}

enum carry_answer carry_find_again(struct carry_session *session, const struct carry_spot *spot,
                                   const struct carry_sought *sought, bool *there)
{
    const struct imap_client_mailbox *mailbox = carry_session_mailbox(session, spot->mailbox);
    struct imap_client_item item;
    unsigned found = 0;
    enum carry_answer answer;

    *there = false;
    if (!mailbox || mailbox->no_select || !spot->uid)
        return CARRY_DONE;
    answer = carry_session_select(session, mailbox);
    if (answer == CARRY_DONE && spot->validity == imap_client_validity(session->client)) {
        answer = carry_session_answer(session, imap_client_fetch(session->client, &spot->uid, 1, &item, &found),
                                      "asking for sizes");
        *there = answer == CARRY_DONE && found && item.uid == spot->uid && fits(sought, item.size);
    }
    return answer;
}
