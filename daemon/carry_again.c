/*
 * carry_again: what the primary has got of a message already (storage/carry_place.h).
 *
 * A copy that has changed since it was put there is told again at its place.  One that its reader has moved here is a
 * place without a copy and a copy without a place, and is moved there, too.  What is not where it was put has been moved
 * or taken away by its user: what was delivered is looked for elsewhere then, what we have put there is not put there
 * again (carry_own.c).
 *
 * Places are written down at once where the step cannot be repeated, else when the message is done with, or put off.
 */
#include "daemon/carry_session.h"

void carry_again_put(struct carry_work *w, unsigned i, struct slice raw, uint32_t validity, uint32_t uid)
{
    struct carry_copy *copy = &w->copies.list[i];

    copy->there = (struct carry_spot){raw, validity ? validity : imap_client_validity(w->session->client), uid};
    w->placed[i] = true;
    w->recorded[i] = false;
    carry_find_use(w->session, w->item, copy);
}

bool carry_again_record(struct carry_work *w)
{
    struct carry_copy news[CARRY_COPIES_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < w->copies.count; i++)
        if (w->placed[i] && !w->recorded[i])
            news[count++] = w->copies.list[i];
    if (!count)
        return true;
    if (carry_place(w->item, news, count, NULL) != DB_DONE)
        return false;
    for (unsigned i = 0; i < w->copies.count; i++)
        w->recorded[i] = w->placed[i];
    return true;
}

enum carry_answer carry_again_unrecorded(struct carry_session *session)
{
    session->why = SLICE("that could not be recorded");
    return CARRY_LATER;
}

/* It was put there, and has changed here. */
static AWAITS enum carry_answer tell_again(struct carry_work *w, unsigned i)
{
    struct carry_copy *copy = &w->copies.list[i];
    enum carry_answer answer;
    bool there;

    answer = carry_find_again(w->session, &copy->there, &w->sought, &there);
    if (answer == CARRY_DONE && there)
        answer = carry_item_store(w, copy->there.uid, copy);
    w->placed[i] = answer == CARRY_DONE && there;
    return answer;
}

/* Its reader has moved it here, so it is moved there. */
static AWAITS enum carry_answer move_again(struct carry_work *w, unsigned i, const struct carry_left *left)
{
    struct carry_copy *copy = &w->copies.list[i];
    const struct imap_client_mailbox *target;
    struct imap_client_uid to = {left->there.validity, left->there.uid};
    enum carry_answer answer;
    bool there;

    answer = carry_find_again(w->session, &left->there, &w->sought, &there);
    if (answer != CARRY_DONE || (!there && w->item->kind == CARRY_KIND_DELIVERED))
        return answer; /* it is looked for elsewhere */
    if (!there) {      /* its user has done something with it, too */
        carry_again_put(w, i, left->there.mailbox, left->there.validity, left->there.uid);
        return carry_place(w->item, copy, 1, left) == DB_DONE ? CARRY_DONE : carry_again_unrecorded(w->session);
    }
    answer = carry_item_store(w, left->there.uid, copy);
    if (answer == CARRY_DONE)
        answer = carry_session_make(w->session, copy, &target);
    if (answer == CARRY_DONE && !slice_equal(target->raw, left->there.mailbox))
        answer = carry_session_answer(
            w->session, imap_client_move(w->session->client, left->there.uid, target->raw, &to), "moving");
    if (answer != CARRY_DONE)
        return answer;
    carry_again_put(w, i, target->raw, to.validity, to.uid);
    if (carry_place(w->item, copy, 1, left) != DB_DONE)
        return carry_again_unrecorded(w->session);
    w->recorded[i] = true;
    return CARRY_DONE;
}

enum carry_answer carry_again(struct carry_work *w)
{
    enum carry_answer answer = CARRY_DONE;
    unsigned next = 0;

    for (unsigned i = 0; i < w->copies.count && answer == CARRY_DONE; i++)
        if (w->copies.list[i].there.mailbox.p)
            answer = tell_again(w, i);
    for (unsigned i = 0; i < w->copies.left_count && answer == CARRY_DONE; i++) {
        while (next < w->copies.count && (w->placed[next] || w->copies.list[next].there.mailbox.p))
            next++;
        if (next < w->copies.count)
            answer = move_again(w, next++, &w->copies.left[i]);
    }
    return answer;
}
