#ifndef STORAGE_WEBHOOK_H
#define STORAGE_WEBHOOK_H
/*
 * webhook: telling others what happens.  An event is written in the transaction in which it happens, and sent by
 * daemon/webhooks.c, at least once, for at most a day.
 *
 * A new type of event is a line of the table in webhook.c and of doc/CONTINUITY.md.  The statement that changes something
 * calls the function webhook_emit() of the migration "webhook":
 *
 *     with changed as (update ... returning ...) select webhook_emit($9::bigint, 'thing.changed', changed.customer_id,
 *         jsonb_build_object('domain', ..., 'at', time_text(now()))) from changed
 *
 * What is told is seen by whoever the webhook is: no secrets, and nothing of a message's content.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define WEBHOOKS_MAX 1000

bool webhook_type_known(struct slice type);

/* ------------------------------------------------------------------ for the sender */

struct webhook_due {
    int64_t id;
    const char *url;
    struct slice key;    /* of its secret, wiped with the arena; {NULL,0}: see trouble */
    const char *trouble; /* NULL, or why there is no key */
    unsigned failures;
};
/* Webhooks of which something is due: nobody else gets them for so long, or until webhook_release(). */
AWAITS enum db_write webhook_claim(struct arena *arena, unsigned limit, unsigned lease_ms, struct webhook_due **out,
                                   unsigned *count) __attribute__((warn_unused_result));

struct webhook_message {
    int64_t event_id;
    struct slice body;
    unsigned attempts;
};
/* What is due of one, oldest first. */
AWAITS enum db_status webhook_messages(struct arena *arena, int64_t id, unsigned limit, struct webhook_message **out,
                                       unsigned *count) __attribute__((warn_unused_result));
AWAITS enum db_write webhook_sent(int64_t id, int64_t event_id) __attribute__((warn_unused_result));
struct webhook_failure {
    struct slice why;
    int64_t again_ms; /* from now */
    bool all;         /* nobody answered: the others wait as well */
    bool gone;        /* it wants no more: it is switched off */
};
AWAITS enum db_write webhook_failed(int64_t id, int64_t event_id, const struct webhook_failure *failure)
    __attribute__((warn_unused_result));
AWAITS enum db_write webhook_release(int64_t id) __attribute__((warn_unused_result));
/* What is older is given up. */
AWAITS enum db_write webhook_expire(int64_t lifetime_ms, unsigned *count) __attribute__((warn_unused_result));

/* What the secret is bound to in the database. */
struct slice webhook_bound(struct arena *arena, int64_t id);

#endif
