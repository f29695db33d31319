#ifndef STORAGE_EVENT_H
#define STORAGE_EVENT_H
/*
 * event: the steps of a message's life, as the API shows them.  Written by whoever takes the step, in the
 * transaction that takes it (storage/accept, storage/queue, storage/outage); partitions come and go by
 * storage/maintenance.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

struct event_step {
    int64_t id, at_ms;
    struct slice recipient; /* {NULL,0}: the message as a whole */
    struct slice kind;
    struct slice detail; /* {NULL,0}: none */
    struct slice class;  /* of a next hop's refusal (relay/reply_class.h); {NULL,0}: it is none */
    struct slice tls_version,
        tls_cipher;            /* of the connection that it went over, or was not to go over; {NULL,0}: in clear */
    struct slice tls_verified; /* "none", "opportunistic", "pkix", "dane", "sts"; {NULL,0}: no connection */
    struct slice remote_host, remote_address; /* the next hop that was asked, or could not be; {NULL,0}: none */
};

/* In order of time, after the event after_id (0: from the first), at most limit. */
AWAITS enum db_status event_list(struct arena *arena, int64_t message_id, int64_t after_id, unsigned limit,
                                 struct event_step **out, unsigned *count) __attribute__((warn_unused_result));
/* The same of one recipient's attempts that brought no decision: what his queue entry has behind it. */
AWAITS enum db_status event_attempts(struct arena *arena, int64_t message_id, struct slice recipient, int64_t after_id,
                                     unsigned limit, struct event_step **out, unsigned *count)
    __attribute__((warn_unused_result));

/*
 * Of each recipient's attempts that brought no decision the last: times, words, host; one step for each recipient
 * who has one.  For the reports about them.
 */
AWAITS enum db_status event_last_attempts(struct arena *arena, int64_t message_id, const struct slice *recipients,
                                          unsigned recipient_count, struct event_step **out, unsigned *count)
    __attribute__((warn_unused_result));

#endif
