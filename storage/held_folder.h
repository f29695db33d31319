#ifndef STORAGE_HELD_FOLDER_H
#define STORAGE_HELD_FOLDER_H
/*
 * held_folder: held mail as its owner sees it, in the folders Held and Quarantine of his account.
 *
 * The owner is who would receive it here, or the account that sent it outside.  He sees it if his domain's continuity
 * policy says so (show_held, show_quarantine), and may release what he would receive if it says that
 * (owner_may_release).  What its sender or a suspension holds is not shown.  The folders are mailboxes (mailbox.role),
 * made with the first message; an item is there while the hold lasts, or a second longer.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"
#include "core/task.h"
#include "storage/directory.h"
#include "storage/status.h"

/* A place in a walk over what is held, and one over what is shown; all 0: at the beginning. */
struct held_folder_walk {
    int64_t entry_id;
    int64_t cell, mailbox_id, uid;
};

/* Shows what was accepted after since_ms and is held; *count: how many, as below. */
AWAITS enum db_write held_folder_show_new(const int16_t *cells, unsigned cell_count, int64_t since_ms, unsigned *count)
    __attribute__((warn_unused_result));
/* A step of each walk: shows what is held, takes away what is so no longer.  May be repeated. */
AWAITS enum db_write held_folder_show(const int16_t *cells, unsigned cell_count, struct held_folder_walk *walk,
                                      unsigned *count) __attribute__((warn_unused_result));
AWAITS enum db_write held_folder_clean(const int16_t *cells, unsigned cell_count, struct held_folder_walk *walk,
                                       unsigned *count) __attribute__((warn_unused_result));
/* Empty folders of domains that do not want them (any more). */
AWAITS enum db_write held_folder_drop(const int16_t *cells, unsigned cell_count) __attribute__((warn_unused_result));

struct mailbox_copying;
enum held_folder_refusal {
    HELD_FOLDER_FORBIDDEN, /* the domain, or who holds it, does not permit it */
    HELD_FOLDER_OVER,      /* one of them is not held any more */
    HELD_FOLDER_GONE,      /* a mailbox is gone */
};
/*
 * Releases all of these by copying them from the folder into the account's INBOX (to_id): one transaction with the audit
 * log; or none, REFUSED.  With move they leave the folder at once.
 */
AWAITS enum db_write held_folder_release(const struct directory_account *account, const char *peer,
                                         struct mailbox_copying *copying, enum held_folder_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
