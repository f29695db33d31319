/*
 * carry_mailbox: a mailbox that an account has made in an outage is made at the primary.
 *
 * Those that messages are filed in would be made with the first of them; an empty one is its owner's, too.  It is made
 * under the name that it has by now, with those above it, and subscribed to as others are.  One that is there, made
 * before by us or by its owner, is left as it is; so this may be repeated, and nothing is kept of it.
 *
 * Not carried: that a mailbox was renamed or deleted here.  What is at the primary under the old name is its owner's.
 */
#include "daemon/carry_session.h"

enum carry_answer carry_mailbox(struct carry_work *w)
{
    const struct imap_client_mailbox *made;
    struct carry_copy place = {.uid = 0}; /* of what would be filed in it */
    enum carry_answer answer;

    switch (carry_mailbox_name(w->arena, w->item, &place.mailbox)) {
    case DB_FOUND: break;
    case DB_NONE: return CARRY_DONE;
    case DB_FAILED: w->session->why = SLICE("its name could not be looked up"); return CARRY_LATER;
    }
    answer = carry_session_open(w->session);
    return answer == CARRY_DONE ? carry_session_make(w->session, &place, &made) : answer;
}
