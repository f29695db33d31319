/*
 * imap_held: the folders Held and Quarantine, which show held mail to its owner (storage/held_folder.h).
 *
 * They are mailboxes like others: listed, selected, searched, and messages in them can be read and flagged.  But what is
 * in them is not the reader's to file: it comes and goes with the hold.  So they are not deleted or renamed, nothing is
 * put there, and nothing is expunged; and the one thing to do with a message is to move it to the INBOX, which releases
 * it, if the domain permits (else NO [NOPERM], RFC 5530).  COPY to the INBOX is the same, for clients without MOVE: the
 * message then leaves the folder by itself.
 *
 * To delete is refused, and does not reject: a client that empties folders by itself must not make decisions about
 * mail, and a sender must not get back what a finger slipped on.
 */
#include "protocols/imap_session.h"

#include "storage/held_folder.h"

bool imap_held_refuses(struct imap_session *session, enum mailbox_role role)
{
    if (role != MAILBOX_ORDINARY)
        imap_reply(session, "NO [CANNOT] Held mail is shown there; the folder cannot be changed");
    return role != MAILBOX_ORDINARY;
}

bool imap_held_keeps(struct imap_session *session)
{
    if (session->selected.role != MAILBOX_ORDINARY)
        imap_reply(session, "NO [CANNOT] Held mail is not deleted by its reader; moving it to INBOX releases it");
    return session->selected.role != MAILBOX_ORDINARY;
}

AWAITS bool imap_held_copy(struct imap_session *session, struct mailbox_copying *copying)
{
    enum held_folder_refusal refusal = HELD_FOLDER_GONE;

    if (copying->to_id != session->account.inbox_id) {
        imap_reply(session, "NO [CANNOT] Held mail can be moved to INBOX only");
        return false;
    }
    switch (held_folder_release(&session->account, session->common.peer, copying, &refusal)) {
    case DB_DONE: return true;
    case DB_REFUSED: break;
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN: imap_unavailable(session); return false;
    }
    switch (refusal) {
    case HELD_FOLDER_FORBIDDEN: imap_reply(session, "NO [NOPERM] Only an administrator may release that"); break;
    case HELD_FOLDER_OVER: imap_reply(session, "NO [EXPUNGEISSUED] It has been decided about meanwhile"); break;
    case HELD_FOLDER_GONE: imap_reply(session, "NO [NONEXISTENT] The folder is gone"); break;
    }
    return false;
}
