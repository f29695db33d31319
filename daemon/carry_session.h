#ifndef DAEMON_CARRY_SESSION_H
#define DAEMON_CARRY_SESSION_H
/*
 * carry_session: one account's mailboxes at its primary, over one connection.  Inside daemon/carry*.c only.
 *
 * Answers: DONE; LATER, this message cannot be dealt with now, and session->why says why; LOST, the same of all.
 */
#include "protocols/imap_client.h"
#include "storage/carry_place.h"
#include "storage/imap_access.h"

enum carry_answer { CARRY_DONE, CARRY_LATER, CARRY_LOST };

#define CARRY_LEASE_MS 60000
#define CARRY_LEASE_MARGIN_MS 10000 /* what is left of a lease when the server's time is over */
#define CARRY_USED_MAX 1000

struct carry_session {
    struct arena *arena; /* of the session */
    const struct carry_account *account;
    bool has_access;
    struct imap_access access;
    uint64_t until;             /* the server's time for the message that is worked on; also for connecting */
    struct imap_client *client; /* NULL: not connected yet */
    struct imap_client_mailboxes mailboxes;
    struct slice selected; /* raw; {NULL,0}: none */
    struct slice why;
    bool refused; /* LOST: it is the credential that is not taken */
    /* Which message there is which copy's: two may have one Message-ID.  carry_find.c */
    struct carry_use {
        struct slice raw;
        uint32_t uid;
        int64_t message_id, mailbox_id, copy_uid;
    } used[CARRY_USED_MAX];
    unsigned used_count;
    bool traces;   /* the primary keeps Received fields: one with ours was found */
    uint32_t near; /* the UID in the INBOX that was found last; 0: none was */
};

void carry_session_end(struct carry_session *session);
/* Connects, unless it is connected. */
AWAITS enum carry_answer carry_session_open(struct carry_session *session);
/* What the last answer of the server means for the message that is worked on. */
enum carry_answer carry_session_answer(struct carry_session *session, enum imap_client_answer answer,
                                       const char *doing);

/* Is that the code (RFC 5530) of the last answer? */
bool carry_session_refused_for(const struct carry_session *session, const char *code);

/* Where a copy belongs at the primary.  NULL: there is no such mailbox yet. */
const struct imap_client_mailbox *carry_session_target(const struct carry_session *session,
                                                       const struct carry_copy *copy);
/* NULL: there is none that is spelled so. */
const struct imap_client_mailbox *carry_session_mailbox(const struct carry_session *session, struct slice raw);
/* As carry_session_target(), made if it is missing. */
AWAITS enum carry_answer carry_session_make(struct carry_session *session, const struct carry_copy *copy,
                                            const struct imap_client_mailbox **out);
AWAITS enum carry_answer carry_session_select(struct carry_session *session, const struct imap_client_mailbox *mailbox);

/* -------- carry_find.c */

/* What a message is found by. */
struct carry_sought {
    struct slice id;    /* Message-ID with its brackets; {NULL,0}: it has none */
    struct slice trace; /* what our Received field in it has, and no other message; {NULL,0}: it has none */
    uint64_t size;      /* as it was sent */
    bool exact;         /* of exactly that size: it was put there by us */
    bool any_size;
};
/* Whose a message at the primary may be, to be taken. */
enum carry_whose {
    CARRY_NOBODYS,    /* no copy's of any message */
    CARRY_THIS_COPYS, /* or this copy's */
    CARRY_ANY_COPYS,  /* or any copy's of this message */
};
/* DONE: *uid is 0, it is not in that mailbox; or it is, and the mailbox is selected. */
AWAITS enum carry_answer carry_find_in(struct carry_session *session, const struct carry_item *item,
                                       enum carry_whose whose, const struct carry_copy *copy,
                                       const struct imap_client_mailbox *mailbox, const struct carry_sought *sought,
                                       uint32_t *uid);
/*
 * In any mailbox.  DONE: found (*where), or *nowhere: it is in none of them.  LATER: it was not found, and some mailbox
 * could not be searched now.
 */
AWAITS enum carry_answer carry_find(struct carry_session *session, const struct carry_item *item,
                                    enum carry_whose whose, const struct carry_sought *sought,
                                    const struct imap_client_mailbox **where, uint32_t *uid, bool *nowhere);
/* DONE: *there says whether it is where it was put, and then that mailbox is selected. */
AWAITS enum carry_answer carry_find_again(struct carry_session *session, const struct carry_spot *spot,
                                          const struct carry_sought *sought, bool *there);
/* From now on that message is this copy's. */
void carry_find_use(struct carry_session *session, const struct carry_item *item, const struct carry_copy *copy);

/* -------- carry_item.c, carry_again.c, carry_own.c, carry_mailbox.c, carry_send.c */

struct carry_work {
    struct carry_session *session;
    struct carry_item *item;
    struct arena *arena;
    struct carry_copies copies;
    bool placed[CARRY_COPIES_MAX];   /* of each copy: it is where copy.there says, with its flags */
    bool recorded[CARRY_COPIES_MAX]; /* and the database knows */
    uint64_t skip;                   /* of what is stored: the Return-Path line */
    struct carry_sought sought;
    bool nowhere; /* it was looked for, and is in none of the primary's mailboxes */
};

/* Deals with one message that was begun; its row is done, forgotten or put off when DONE is said. */
AWAITS enum carry_answer carry_item_run(struct carry_session *session, struct carry_item *item);
/* What is told of the flags of a copy. */
unsigned carry_item_flags(const struct carry_item *item, const struct carry_copy *copy);
/* Adds them to a message of the selected mailbox, but for keywords that its server cannot have. */
AWAITS enum carry_answer carry_item_store(struct carry_work *w, uint32_t uid, const struct carry_copy *copy);
/* LATER was because of a keyword that this server cannot have, or because it has too many: it never will. */
bool carry_item_keyword_refused(const struct carry_session *session, const struct carry_copy *copy);

/* What was put there before is told again, or moved. */
AWAITS enum carry_answer carry_again(struct carry_work *w);
/* Copy i is there.  validity 0: that of the selected mailbox. */
void carry_again_put(struct carry_work *w, unsigned i, struct slice raw, uint32_t validity, uint32_t uid);
/* The database is told of what it does not know yet.  False: it could not be. */
AWAITS bool carry_again_record(struct carry_work *w);
enum carry_answer carry_again_unrecorded(struct carry_session *session); /* LATER */

/* A message that is here only. */
AWAITS enum carry_answer carry_own(struct carry_work *w);
/* Makes it, if it is missing there. */
AWAITS enum carry_answer carry_mailbox(struct carry_work *w);
/* Sends the copy as a message to the account's own address. */
AWAITS enum carry_answer carry_send(struct carry_session *session, struct carry_item *item);

#endif
