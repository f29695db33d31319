#ifndef STORAGE_QUEUE_VIEW_H
#define STORAGE_QUEUE_VIEW_H
/*
 * queue_view: the queue, messages and outages as an administrator looks at them, page by page.  Reading
 * only; nothing here is used by delivery.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/hold.h"
#include "storage/status.h"

struct queue_view_entry {
    int64_t id, message_id;
    struct slice redirected_from; /* its own destination; {NULL,0}: it goes there */
    struct slice sender, recipient, destination;
    uint64_t size;
    bool active;              /* in a worker's hands now; otherwise it waits */
    bool shown;               /* readable in the recipient's INBOX meanwhile */
    struct {                  /* id 0: not suspended */
        int64_t id, until_ms; /* until_ms INT64_MIN: when somebody resumes it */
        struct slice reason;
    } suspension;
    struct hold hold; /* until_ms 0: not held */
    int64_t group_id; /* of what is held and alike (storage/similar.h); 0: none */
    int32_t attempts;
    int priority;
    int64_t received_ms, expires_ms;
    int64_t deliver_by_ms;   /* INT64_MIN: not asked for, or over and told */
    int64_t due_ms;          /* its own or its destination's, whichever is later */
    int64_t last_attempt_ms; /* INT64_MIN: none yet */
    struct slice last_reply; /* {NULL,0}: none yet */
    int64_t uncertain_ms;    /* the last attempt after which the next hop may have it; INT64_MIN: none */
};

AWAITS enum db_status queue_view_entry(struct arena *arena, int64_t id, struct queue_view_entry *out)
    __attribute__((warn_unused_result));

struct queue_view_message {
    int64_t id, customer_id;
    int64_t account_id;  /* who submitted it; 0: came from outside */
    struct slice sender; /* "": null sender */
    uint64_t size;
    bool eight_bit, body_gone;
    int64_t received_ms;
    struct slice client, helo, protocol, tls; /* {NULL,0}: unknown */
    uint64_t in_mailboxes;                    /* how many mailbox items refer to it */
    struct queue_view_entry *queued;          /* its queue entries, at most QUEUE_VIEW_RECIPIENTS */
    unsigned queued_count;
};
#define QUEUE_VIEW_RECIPIENTS 1000

AWAITS enum db_status queue_view_message(struct arena *arena, int64_t id, struct queue_view_message *out)
    __attribute__((warn_unused_result));

#endif
