#ifndef STORAGE_MAILBOX_H
#define STORAGE_MAILBOX_H
/*
 * mailbox: what IMAP and POP3 see: mailboxes of an account and the messages in them.
 *
 * A mailbox item is a row that refers to a message; COPY adds a row, EXPUNGE removes one, no bytes move.
 * UIDs ascend and are never used again; a mailbox's uidvalidity is larger than that of all mailboxes before it, also of
 * those that are gone.  modseq grows with every change, so a session learns what others did by asking for what is newer
 * than the modseq it has seen (and for the UIDs that still exist, when the count says that something went).
 *
 * Every write tells other sessions by a hint after its commit (storage/hint.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

enum mailbox_flag {
    MAILBOX_SEEN = 1,
    MAILBOX_ANSWERED = 2,
    MAILBOX_FLAGGED = 4,
    MAILBOX_DELETED = 8,
    MAILBOX_DRAFT = 16,
};

enum mailbox_role { MAILBOX_ORDINARY, MAILBOX_HELD, MAILBOX_QUARANTINE };

struct mailbox {
    int64_t id, account_id;
    struct slice name; /* UTF-8; "INBOX" in capitals; '/' between levels */
    int64_t uidvalidity, uidnext, modseq;
    struct slice special_use; /* "\\Sent" ..., {NULL,0}: none */
    enum mailbox_role role;   /* not ORDINARY: storage/held_folder.h has made it, and fills it */
};
struct mailbox_counts {
    uint64_t messages, unseen, deleted, size;
};

struct mailbox_item {
    int64_t uid, message_id;
    unsigned flags;
    struct slice *keywords;
    unsigned keyword_count;
    int64_t internal_ms, modseq;
    uint64_t size;
};

AWAITS enum db_status mailbox_list(struct arena *arena, int64_t account_id, struct mailbox **out, unsigned *count)
    __attribute__((warn_unused_result));
/* name: INBOX in any case. */
AWAITS enum db_status mailbox_find(struct arena *arena, int64_t account_id, struct slice name, struct mailbox *out)
    __attribute__((warn_unused_result));
AWAITS enum db_status mailbox_by_id(struct arena *arena, int64_t mailbox_id, struct mailbox *out)
    __attribute__((warn_unused_result));
AWAITS enum db_status mailbox_count(int64_t mailbox_id, struct mailbox_counts *out) __attribute__((warn_unused_result));

enum mailbox_refusal {
    MAILBOX_EXISTS,   /* there is one of that name */
    MAILBOX_TOO_MANY, /* the account would have more than max; not asked when none would be made */
    MAILBOX_NAME,     /* the name, or an inferior's, would be longer than MAILBOX_NAME_MAX */
};
#define MAILBOX_NAME_MAX 500 /* bytes; mailbox_name_form in schema/ */

/* REFUSED: *refusal tells why. Superiors that are missing are made too (RFC 3501 6.3.3). */
AWAITS enum db_write mailbox_create(int64_t account_id, struct slice name, unsigned max, int64_t *id,
                                    enum mailbox_refusal *refusal) __attribute__((warn_unused_result));
/* Its items go with it. */
AWAITS enum db_write mailbox_delete(int64_t mailbox_id) __attribute__((warn_unused_result));
/*
 * With all inferiors. INBOX: its messages move to the new name, INBOX stays (RFC 3501 6.3.5). REFUSED: *refusal tells
 * why.
 */
AWAITS enum db_write mailbox_rename(int64_t account_id, struct slice from, struct slice to, unsigned max,
                                    enum mailbox_refusal *refusal) __attribute__((warn_unused_result));

/* Items in UID order, from after_uid (exclusive) on, at most limit; of those only changed since modseq (0: all). */
AWAITS enum db_status mailbox_items(struct arena *arena, int64_t mailbox_id, int64_t after_uid, int64_t since_modseq,
                                    unsigned limit, struct mailbox_item **out, unsigned *count)
    __attribute__((warn_unused_result));
/* All UIDs that exist, ascending; for finding out what others expunged. */
AWAITS enum db_status mailbox_uids(struct arena *arena, int64_t mailbox_id, int64_t **out, unsigned *count)
    __attribute__((warn_unused_result));

enum mailbox_store { MAILBOX_STORE_SET, MAILBOX_STORE_ADD, MAILBOX_STORE_REMOVE };
/* uids that no longer exist are passed over. *modseq: the mailbox's after the change. */
AWAITS enum db_write mailbox_store(int64_t mailbox_id, const int64_t *uids, unsigned count, enum mailbox_store how,
                                   unsigned flags, const struct slice *keywords, unsigned keyword_count,
                                   int64_t *modseq) __attribute__((warn_unused_result));
/* Items that go into another mailbox, or into the same one once more. */
struct mailbox_copying {
    int64_t from_id, to_id;
    const int64_t *uids;
    unsigned count;
    bool move; /* the originals are removed in the same transaction (RFC 6851) */
    /* Set: the copies' UIDs are consecutive, in order of the source UIDs; fewer than count when some were expunged
     * meanwhile. */
    int64_t first_uid;
    unsigned copied;
};
/* All or nothing.  REFUSED: the target is gone; nothing changed. */
AWAITS enum db_write mailbox_copy(struct mailbox_copying *copying) __attribute__((warn_unused_result));
/*
 * Removes these; with only_deleted only those that carry \Deleted.  Thousands in parts: if it is not DONE some may be
 * gone.
 */
AWAITS enum db_write mailbox_expunge(int64_t mailbox_id, const int64_t *uids, unsigned count, bool only_deleted)
    __attribute__((warn_unused_result));

#endif
