/*
 * carry_own: a message that is here only: made by its reader, or sent.
 *
 * It is looked for where it belongs, and appended if it is not there.  Without a Message-ID it is known by its exact size
 * alone, and is looked for only if somebody may have appended it before and could not write that down: two notes of one
 * length are two notes.  What was put there once is not put there again, whatever became of it.
 *
 * One copy that cannot be dealt with now keeps the others from nothing.
 */
#include "core/clock.h"
#include "daemon/carry_session.h"
#include "storage/body.h"

#define BYTES_A_MS 20 /* a mailbox that takes less than 20 kB/s is too slow */

static AWAITS bool read_content(void *arg, uint64_t offset, struct slice *out)
{
    struct carry_work *w = arg;

    *out = (struct slice){NULL, 0};
    arena_reset(w->arena);
    return body_read(w->arena, w->item->message_id, offset + w->skip, out) == DB_FOUND;
}

/* The lease lasts longer than the server is given. */
static AWAITS enum carry_answer extend(struct carry_work *w, uint64_t bytes)
{
    unsigned lease = CARRY_LEASE_MS + (unsigned)(bytes / BYTES_A_MS);
    uint64_t now = clock_steady_ms();

    if (carry_extend(w->item, lease) != DB_DONE) {
        w->session->why = SLICE("its time could not be made longer");
        return CARRY_LATER;
    }
    w->session->until = now + lease - CARRY_LEASE_MARGIN_MS;
    imap_client_until(w->session->client, w->session->until);
    return CARRY_DONE;
}

/* A server that tells no UID is asked; the size is exact. */
static AWAITS void learn_uid(struct carry_work *w, unsigned i, const struct imap_client_mailbox *target,
                             struct imap_client_uid *to)
{
    struct carry_sought sought = w->sought;

    sought.any_size = false;
    if (!to->uid && carry_find_in(w->session, w->item, CARRY_THIS_COPYS, &w->copies.list[i], target, &sought, &to->uid) ==
                        CARRY_DONE)
        to->validity = imap_client_validity(w->session->client);
}

static AWAITS enum carry_answer append(struct carry_work *w, unsigned i, const struct imap_client_mailbox *target)
{
    struct carry_session *session = w->session;
    const struct carry_copy *copy = &w->copies.list[i];
    struct imap_client_append content = {
        .raw = target->raw,
        .flags = carry_item_flags(w->item, copy),
        .keywords = copy->keywords,
        .keyword_count = copy->keyword_count,
        .internal_ms = copy->internal_ms,
        .size = w->sought.size,
        .read = read_content,
        .arg = w,
    };
    enum carry_answer answer = extend(w, content.size);
    struct imap_client_uid to;
    struct arena *whole = w->arena;

    if (answer != CARRY_DONE)
        return answer;
    w->arena = arena_new(SIZE_MAX); /* of one piece at a time */
    answer = carry_session_answer(session, imap_client_append(session->client, &content, &to), "appending");
    if (answer == CARRY_LATER && carry_item_keyword_refused(session, copy)) {
        content.keyword_count = 0;
        answer = carry_session_answer(session, imap_client_append(session->client, &content, &to), "appending");
    }
    arena_free(&w->arena);
    w->arena = whole;
    if (answer != CARRY_DONE)
        return answer;
    learn_uid(w, i, target, &to);
    carry_again_put(w, i, target->raw, to.validity, to.uid);
    if (!carry_again_record(w))
        return carry_again_unrecorded(session);
    if (content.keyword_count == copy->keyword_count || !to.uid)
        return CARRY_DONE;
    answer = carry_session_select(session, target);
    return answer == CARRY_DONE ? carry_item_store(w, to.uid, copy) : answer;
}

static AWAITS enum carry_answer put_there(struct carry_work *w, unsigned i)
{
    const struct carry_copy *copy = &w->copies.list[i];
    bool once = copy->there.mailbox.p; /* it was put there before */
    const struct imap_client_mailbox *target;
    enum carry_answer answer = carry_session_make(w->session, copy, &target);
    uint32_t uid = 0;

    if (answer == CARRY_DONE && (w->sought.id.p || (w->item->attempts && !once)))
        answer = carry_find_in(w->session, w->item, CARRY_THIS_COPYS, copy, target, &w->sought, &uid);
    if (answer != CARRY_DONE)
        return answer;
    if (!uid && once) {
        w->placed[i] = true; /* where it was put; it is somewhere else now, or nowhere */
        return CARRY_DONE;
    }
    if (!uid)
        return append(w, i, target);
    answer = carry_item_store(w, uid, copy);
    if (answer == CARRY_DONE)
        carry_again_put(w, i, target->raw, 0, uid);
    return answer;
}

enum carry_answer carry_own(struct carry_work *w)
{
    enum carry_answer all = CARRY_DONE, answer;

    w->sought.exact = true;
    answer = carry_again(w);
    if (answer != CARRY_DONE)
        return answer;
    w->sought.any_size = w->item->kind == CARRY_KIND_SENT && w->sought.id.p;
    for (unsigned i = 0; i < w->copies.count && all != CARRY_LOST; i++)
        if (!w->placed[i] && (answer = put_there(w, i)) != CARRY_DONE)
            all = answer;
    return all;
}
