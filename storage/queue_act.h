#ifndef STORAGE_QUEUE_ACT_H
#define STORAGE_QUEUE_ACT_H
/*
 * queue_act: what an administrator does to queue entries: one, or many at once.
 *
 * Only entries that are in nobody's memory are touched; of the others, and of those that the action does not fit,
 * nothing is changed.
 *   RETRY     not held        due now, and so is its destination, whatever the back-off; during an outage the primary is probed
 *   HOLD      any             nobody delivers it before `until_ms`; then `then`
 *   RELEASE   held            it goes on
 *   REJECT    any             its sender gets it back
 *   EXPIRE    held            what its hold says happens when its time has come, happens now
 *   CANCEL    any             it is gone, and nobody is told
 *   REDIRECT  not to a mailbox here   it goes to another destination; p NULL: back to where it came from
 *   PRIORITY  any
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "storage/hold.h"

enum queue_act_kind {
    QUEUE_ACT_RETRY,
    QUEUE_ACT_HOLD,
    QUEUE_ACT_RELEASE,
    QUEUE_ACT_REJECT,
    QUEUE_ACT_EXPIRE,
    QUEUE_ACT_CANCEL,
    QUEUE_ACT_REDIRECT,
    QUEUE_ACT_PRIORITY,
};
struct queue_act {
    enum queue_act_kind kind;
    struct hold hold;         /* HOLD; by: the administrator, whatever it says */
    struct slice destination; /* REDIRECT: a destination key, storage/queue.h */
    int priority;             /* PRIORITY: -9 to 9 (RFC 6710) */
};

const char *queue_act_word(enum queue_act_kind kind);
bool queue_act_parse(struct slice word, enum queue_act_kind *out) __attribute__((warn_unused_result));

/* For storage only: its owner has released it, and has it (storage/held_folder_release.c): to end it is left to him. */
#define QUEUE_ACT_OWNERS(q)                                                                                            \
    "(" q "shown and (" q "destination = 'mailbox' or coalesce(" q "held_by, '') in ('limit', 'rule')))"
/* For storage only: which of the entries q an action ($3) is taken on. */
#define QUEUE_ACT_APPLIES                                                                                              \
    " coalesce(q.worker, -1) = -1 and case when $3::text = 'retry' then q.held_until is null"                          \
    " when $3::text = 'redirect' then q.destination <> 'mailbox' when $3::text = 'priority' then true"                 \
    " else ($3::text not in ('release', 'expire') or q.held_until is not null)"                                        \
    "      and not " QUEUE_ACT_OWNERS("q.") " end"

struct db_unit;
/*
 * For storage only: adds the steps to a transaction, with an event for each entry.  The first of them locks the
 * entries, by (cell, id); what is added before it sees them unlocked.
 */
void queue_act_add(struct db_unit *unit, const struct queue_act *act, const int16_t *cells, const int64_t *ids,
                   unsigned count);

#endif
