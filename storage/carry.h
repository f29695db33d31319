#ifndef STORAGE_CARRY_H
#define STORAGE_CARRY_H
/*
 * carry: what is to be done at a primary's mailboxes after an outage, message by message.
 *
 *   delivered  the primary has taken it: its flags and folders are carried.  Made with the delivery (carry_copy.h)
 *   made       it exists here only: appended by its reader, a draft.  Made when the outage has ended (outage_report.h)
 *   sent       a copy of what the account sent.  The same
 *   mailbox    a mailbox that its reader has made, to be made there, empty or not.  The same; message_id is its id
 *
 * A row waits, worked on by whoever carry_begin() gives it to, until the lease is over; then it is kept, until its
 * copies here go (carry_keep.h), or gone.  schema/STATES.md.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

enum carry_kind { CARRY_KIND_DELIVERED, CARRY_KIND_MADE, CARRY_KIND_SENT, CARRY_KIND_MAILBOX };

struct carry_account {
    int64_t id, domain_id, customer_id;
    struct slice address;
};
/*
 * Accounts of these cells for which something is due, and whose primary is not known to be away: some of them, each time
 * the next ones, in a circle.
 */
AWAITS enum db_status carry_accounts(struct arena *arena, const int16_t *cells, unsigned cell_count,
                                     struct carry_account **out, unsigned *count) __attribute__((warn_unused_result));

struct carry_item {
    int64_t account_id, message_id;
    enum carry_kind kind;
    int64_t made_ms;
    uint64_t size;     /* of the message as it is stored */
    bool traced;       /* it begins with Return-Path, which is ours */
    unsigned attempts; /* begun before, and perhaps done */
    bool placed;       /* some of its copies are at the primary: carry_place.h */
    bool gone;         /* there is no such message, or mailbox, any more */
    int64_t holder, sent_as; /* after carry_begin() */
};
/* In the order in which they are due. */
AWAITS enum db_status carry_items(struct arena *arena, int64_t account_id, unsigned limit, struct carry_item **out,
                                  unsigned *count) __attribute__((warn_unused_result));
/*
 * Nobody else has it for lease_ms.  REFUSED: it is another's, or done.  UNCERTAIN: it is not known, also after a second
 * try; perhaps nobody has it for so long.
 */
AWAITS enum db_write carry_begin(struct carry_item *item, unsigned lease_ms) __attribute__((warn_unused_result));
/* Longer, from now on.  REFUSED, as by the others below: it is not held any more, somebody else may have it. */
AWAITS enum db_write carry_extend(const struct carry_item *item, unsigned lease_ms) __attribute__((warn_unused_result));

/*
 * It is carried: it is kept from now on; unless, if it is not final, there are copies that are neither at the primary as
 * they are (carry_place.h) nor of the `count` that were looked at: then it is due once more.
 * note: what was not done, or {NULL,0}.
 */
struct carry_copy;
AWAITS enum db_write carry_done(const struct carry_item *item, const struct carry_copy *copies, unsigned count, bool final,
                                struct slice note) __attribute__((warn_unused_result));
/* There is nothing more to do, and what copies there are are their reader's. */
AWAITS enum db_write carry_forget(const struct carry_item *item) __attribute__((warn_unused_result));
/* Again after delay_ms. */
AWAITS enum db_write carry_put_off(const struct carry_item *item, uint64_t delay_ms, struct slice note)
    __attribute__((warn_unused_result));
/* The same of all that is due of the account. */
AWAITS enum db_write carry_put_off_all(int64_t account_id, uint64_t delay_ms, struct slice note)
    __attribute__((warn_unused_result));
/* Of a mailbox that is to be made.  NONE: it is gone. */
AWAITS enum db_status carry_mailbox_name(struct arena *arena, const struct carry_item *item, struct slice *out)
    __attribute__((warn_unused_result));
/* Is there such a message? */
AWAITS enum db_status carry_sent(int64_t message_id) __attribute__((warn_unused_result));

#endif
