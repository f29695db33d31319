#ifndef DAEMON_CARRY_SESSION_H
#define DAEMON_CARRY_SESSION_H
/*
 * carry_session: one account's mailboxes at its primary, over one connection.  Inside daemon/carry*.c only.
 *
 * Answers: DONE; LATER, this message cannot be dealt with now, and session->why says why; LOST, the same of all.
 */
#include "protocols/imap_client.h"
#include "storage/carry.h"
#include "storage/imap_access.h"

enum carry_answer { CARRY_DONE, CARRY_LATER, CARRY_LOST };

#define CARRY_LEASE_MS 60000
#define CARRY_USED_MAX 1000

struct carry_session {
    struct arena *arena; /* of the session */
    const struct carry_account *account;
    bool has_access;
    struct imap_access access;
    struct imap_client *client; /* NULL: not connected yet */
    struct imap_client_mailboxes mailboxes;
    struct slice selected; /* raw; {NULL,0}: none */
    struct slice why;
    bool refused; /* LOST: it is the credential that is not taken */
    /* Messages that were told apart already: two may have one Message-ID. */
    struct {
        struct slice raw;
        uint32_t uid;
    } used[CARRY_USED_MAX];
    unsigned used_count;
};

void carry_session_end(struct carry_session *session);
/* Connects, unless it is connected. */
AWAITS enum carry_answer carry_session_open(struct carry_session *session);
/* What the last answer of the server means for the message that is worked on. */
enum carry_answer carry_session_answer(struct carry_session *session, enum imap_client_answer answer,
                                       const char *doing);

/* Where a copy belongs at the primary.  NULL: there is no such mailbox yet. */
const struct imap_client_mailbox *carry_session_target(const struct carry_session *session,
                                                       const struct carry_copy *copy);
/* The same, made if it is missing. */
AWAITS enum carry_answer carry_session_make(struct carry_session *session, const struct carry_copy *copy,
                                            const struct imap_client_mailbox **out);
AWAITS enum carry_answer carry_session_select(struct carry_session *session, const struct imap_client_mailbox *mailbox);

/* What a message is found by. */
struct carry_sought {
    struct slice id; /* Message-ID with its brackets; {NULL,0}: it has none */
    uint64_t size;   /* as it was sent */
    bool exact;      /* of exactly that size: it was put there by us */
    bool any_size;
};
/* *uid: 0, it is not in that mailbox. */
AWAITS enum carry_answer carry_session_look(struct carry_session *session, const struct imap_client_mailbox *mailbox,
                                            const struct carry_sought *sought, uint32_t *uid);
void carry_session_use(struct carry_session *session, struct slice raw, uint32_t uid);

/* -------- carry_item.c, carry_send.c */

/* Deals with one message that was begun; its row is done, forgotten or put off when DONE is said. */
AWAITS enum carry_answer carry_item_run(struct carry_session *session, struct carry_item *item);
/* Sends the copy as a message to the account's own address. */
AWAITS enum carry_answer carry_send(struct carry_session *session, struct carry_item *item);

#endif
