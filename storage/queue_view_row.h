#ifndef STORAGE_QUEUE_VIEW_ROW_H
#define STORAGE_QUEUE_VIEW_ROW_H
/* queue_view_row: an entry as queue_view and queue_filter read it.  Nobody else includes this. */
#include "storage/queue_view.h"

#define QUEUE_VIEW_ENTRY                                                                                               \
    "q.id, q.message_id, m.sender, q.recipient, q.destination, m.size, q.worker is not null, q.shown, q.attempts,"     \
    " m.received_at, q.expires_at, greatest(q.due_at, d.due_at), q.last_attempt_at, q.last_reply,"                     \
    " q.held_until, q.held_by, q.held_reason, q.held_then, q.deliver_by, q.priority, q.redirected_from,"               \
    " s.id, s.reason, s.expires_at, q.uncertain_at, q.held_approval, q.quarantined,"                 \
    " coalesce(q.similar_id, 0)"
/* Of the suspensions s: those that an entry with these columns waits for. */
#define QUEUE_VIEW_SUSPENDS(sender, customer, destination, recipient)                                                  \
    "s.ended_at is null and (s.expires_at is null or s.expires_at > now()) and " destination " <> 'mailbox'"           \
    " and ((s.kind = 'sender' and s.value = " sender ") or (s.kind = 'customer' and s.value = " customer "::text)"     \
    " or (s.kind = 'destination' and s.value in (" destination ", lower(split_part(" recipient ", '@', -1)))))"
#define QUEUE_VIEW_JOINS                                                                                               \
    " join message m on m.cell = q.cell and m.id = q.message_id"                                                       \
    " left join destination d on d.cell = q.cell and d.key = q.destination "                                           \
    " left join lateral (select s.id, s.reason, s.expires_at from suspension s where " QUEUE_VIEW_SUSPENDS(            \
        "q.sender", "q.customer_id", "q.destination", "q.recipient") " order by s.id limit 1) s on true "
#define QUEUE_VIEW_COLUMNS 28

struct rows;
void queue_view_read(const struct rows *rows, unsigned row, struct queue_view_entry *out);

#endif
