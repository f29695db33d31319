#ifndef STORAGE_ACCEPT_H
#define STORAGE_ACCEPT_H
/*
 * accept: the one door by which mail becomes ours.  SMTP's end of data, IMAP's APPEND and our own bounces
 * all end in accept_commit(); when it says DB_DONE the message is durable and 250 (OK) may be said.
 *
 * Group commit: requests that finish while the previous commit is on its way to disk are gathered, and go
 * as one set-based transaction when it returns; one flush serves many.  A batch that is refused (an
 * account was deleted meanwhile) is repeated one by one, so that one bad request cannot fail its
 * neighbours.  A batch that ended UNCERTAIN is run again with the same ids, which tells how it ended; only
 * when that cannot be told within a minute (ACCEPT_PATIENCE_MS) the answer is UNCERTAIN (the client gets
 * 451 and may send again: twice rather than lost).
 *
 * Bodies longer than one chunk are stored chunk by chunk before the transaction (storage/body.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/spool.h"
#include "core/task.h"
#include "storage/hold.h"
#include "storage/status.h"

/* One recipient, decided.  A mailbox item, or a queue entry, or (while an outage is open) both. */
struct accept_recipient {
    struct slice address;
    struct slice
        original; /* the alias or group that led to it, for an event; {NULL,0}: none.  One pointer for all of one */

    /* into a mailbox: */
    int64_t mailbox_id; /* 0: none */
    unsigned flags;     /* storage/mailbox.h */
    const struct slice *keywords;
    unsigned keyword_count;
    int64_t internal_ms; /* 0: when it was received */

    /* into the queue: */
    bool queue;
    struct slice destination; /* queue_destination_*() */
    struct slice parameters;  /* of RCPT, as protocols/smtp_parameter.h prints them; p NULL: none */
    int64_t domain_id;        /* relay domain, or 0 */
    int64_t account_id;       /* whose INBOX shows it during an outage, or it goes to (destination "mailbox"); or 0 */
    bool waiting;             /* do not lease it to this worker: its destination is known to be away, or it is held */
    struct hold hold;         /* nobody delivers it before; waiting then, too */
    int64_t due_ms;           /* with hold: nor, whoever decides, before this; 0: at once */
    int64_t expires_ms;
    int64_t deliver_by_ms; /* when it is late (RFC 2852); 0: never */
    int64_t delay_ms;      /* if waiting: when the sender is told of the delay; 0: never */

    /* filled in: */
    int64_t drill_id; /* the outage of its account's drill, which holds it; or 0 */
    int64_t entry_id; /* queue entry, or 0 */
    int64_t uid;      /* in the mailbox, or 0 */
    int64_t uidvalidity;
};

/* One message's share of a relay grant that has limits. */
struct accept_usage {
    unsigned cell; /* the grant's */
    int64_t grant_id;
    int64_t account_id; /* 0: counted for the grant as a whole */
    unsigned recipients;
    uint64_t bytes;
};

struct accept_message {
    unsigned cell; /* all recipients are in it */
    int64_t id;    /* made by the caller: id_make(cell) */
    int64_t customer_id;
    int64_t account_id;      /* 0: from outside */
    struct slice sender;     /* "" : null sender */
    struct slice parameters; /* of MAIL, like those of a recipient */
    bool eight_bit;
    int priority; /* of its queue entries, -9 to 9 (RFC 6710) */
    int64_t received_ms;
    const char *client, *helo, *protocol, *tls; /* NULL allowed but for protocol */
    int64_t grant_id;                           /* the relay grant that permitted it, for its event; 0: none */
    const struct accept_usage *usage;           /* to be counted with it */
    unsigned usage_count;
    const int64_t *delayed; /* queue entries whose delay it tells of: it is told with the commit, once */
    unsigned delayed_count;
    const int64_t *late; /* likewise, of those that are not delivered in the time that BY gave */
    unsigned late_count;
    const int64_t *
        filed; /* queue entries whose delivery into mailboxes here it tells of: done with the commit (storage/file.h) */
    unsigned filed_count;
    const struct sent_copy *sent; /* of a copy in Sent (storage/sent_copy.h); NULL: it is none */
    /*
     * Content = prefix followed by the spool; what is stored once serves mailbox and queue.  A message that
     * has queue entries or came by SMTP begins with exactly one Return-Path line (RFC 5321 4.4: it belongs to
     * final delivery only), then our Received.  Whoever sends a stored message on drops that first line.
     * Messages without SMTP (IMAP APPEND) have an empty prefix and no queue entries.
     */
    struct slice prefix;
    struct spool *spool;
    struct accept_recipient *recipients;
    unsigned recipient_count;
};

/* All messages (one per cell) in one transaction.  The arrays must stay until it returns. */
AWAITS enum db_write accept_commit(struct accept_message *messages, unsigned count) __attribute__((warn_unused_result));

/*
 * Called, on the loop, after each commit, before the waiting tasks continue: the delivery runner takes the
 * queue entries leased to this worker together with the spool (spool_ref to keep).
 */
typedef void accept_committed_fn(const struct accept_message *message);
void accept_on_committed(accept_committed_fn *fn);

struct accept_counters {
    uint64_t messages, recipients, bytes, batches;
    unsigned largest_batch;
};
void accept_counters(struct accept_counters *out);

#endif
