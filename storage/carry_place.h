#ifndef STORAGE_CARRY_PLACE_H
#define STORAGE_CARRY_PLACE_H
/*
 * carry_place: the copies of a message that is carried (carry.h), and where at the primary each has been put, so that it
 * is put there once.  Kept as long as the row of carry is.
 */
#include "storage/carry.h"

/* A message at the primary. */
struct carry_spot {
    struct slice mailbox;      /* as its server spells it; {NULL,0}: none */
    uint32_t validity, uid;    /* 0: the server has not told */
};

struct carry_copy {
    int64_t mailbox_id, uid, modseq;
    struct slice mailbox, special_use; /* special_use {NULL,0}: none */
    unsigned flags;
    struct slice *keywords; /* without those of carry_copy.h */
    unsigned keyword_count;
    int64_t internal_ms;
    struct carry_spot there; /* where it has been put, with other flags than it has now */
};
/* A copy that was put somewhere and is not here any more: its reader has moved or removed it. */
struct carry_left {
    int64_t mailbox_id, uid;
    struct carry_spot there;
};

#define CARRY_COPIES_MAX 50
struct carry_copies {
    struct carry_copy *list; /* that are not at the primary as they are: INBOX first, CARRY_COPIES_MAX of them */
    unsigned count;
    unsigned untold; /* with those beyond CARRY_COPIES_MAX */
    unsigned total;  /* with those that are */
    bool in_inbox;  /* any of all */
    struct carry_left *left;
    unsigned left_count;
};
AWAITS enum db_status carry_copies(struct arena *arena, const struct carry_item *item, struct carry_copies *out)
    __attribute__((warn_unused_result));

/* Copies [0, count) have been put where `there` says, as they are; left, if not NULL, has become one of them. */
AWAITS enum db_write carry_place(const struct carry_item *item, const struct carry_copy *copies, unsigned count,
                                 const struct carry_left *left) __attribute__((warn_unused_result));
/*
 * FOUND.  Which of these messages in one mailbox of the account's at the primary are places of other copies than this
 * one?  copy NULL: of other messages than the item's.
 */
AWAITS enum db_status carry_taken(const struct carry_item *item, const struct carry_copy *copy, struct slice mailbox,
                                  uint32_t validity, const uint32_t *uids, unsigned count, bool taken[])
    __attribute__((warn_unused_result));

#endif
