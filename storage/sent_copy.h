#ifndef STORAGE_SENT_COPY_H
#define STORAGE_SENT_COPY_H
/*
 * sent_copy: while a domain has an outage, what its accounts send is filed in their mailbox Sent, once for each
 * Message-ID, whether we file it or the account's mail program does (APPEND), or both.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/secret.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define SENT_COPY_HEADER_MAX (64 * 1024) /* so much of a message is looked at for its Message-ID */

/* Part of a message that accept_commit() takes. */
struct sent_copy {
    enum sent_copy_kind {
        SENT_COPY_NEW,     /* REFUSED if there is one by now: ask again */
        SENT_COPY_AGAIN,   /* there was one, whose item is gone */
        SENT_COPY_IS_SENT, /* what a mail program has filed is sent now; nothing is filed */
    } kind;
    unsigned cell;
    int64_t account_id, mailbox_id, outage_id;
    unsigned char digest[SECRET_SHA256_SIZE];
    bool submitted; /* of NEW and AGAIN: by a submission, else by APPEND */
};

struct sent_copy_found {
    int64_t mailbox_id; /* the account's \Sent; 0: it has none */
    bool known;         /* there is a row */
    int64_t there_id;   /* in this mailbox, with this uid, is the copy; 0: it is gone, or not known */
    int64_t uid, uidvalidity;
};

/* FOUND whenever it could be asked.  Fills the digest of *copy, whose account is given. */
AWAITS enum db_status sent_copy_find(struct arena *arena, struct slice message_id, struct sent_copy *copy,
                                     struct sent_copy_found *found) __attribute__((warn_unused_result));

/* ------------------------------------------------------------------ inside storage */

struct accept_message;
struct db_unit;
/* Adds its steps, if any of the messages has a copy. */
void sent_copy_add(struct arena *arena, struct accept_message *const *messages, unsigned count, struct db_unit *unit);

#endif
