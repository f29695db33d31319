#ifndef STORAGE_QUEUE_BULK_H
#define STORAGE_QUEUE_BULK_H
/*
 * queue_bulk: an action (queue_act.h) on all queue entries that a filter (queue_filter.h) finds.
 *
 * It is counted when it is made, does nothing until it is started, and is then carried out in batches in the
 * background, by whichever process of the API comes first; the row tells how far it is.  What is accepted after the
 * count is left alone.
 */
#include "storage/provision.h"
#include "storage/queue_act.h"
#include "storage/queue_filter.h"

#define QUEUE_BULK_MAX 1000 /* that are kept */

struct queue_bulk {
    int64_t id;
    struct queue_filter filter;
    struct queue_act act;
    struct slice state; /* previewed, running, done, stopped */
    int64_t matched, cursor, done, skipped;
    int64_t created_ms, started_ms, ended_ms; /* INT64_MIN: not yet */
};

/* filter and act are given; id and matched come out.  filter.before_ms is brought to now if it is later. */
AWAITS enum db_write queue_bulk_create(struct arena *arena, struct queue_bulk *bulk,
                                       const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_status queue_bulk_get(struct arena *arena, int64_t id, struct queue_bulk *out)
    __attribute__((warn_unused_result));
/* The newest first, before the id in page->after (0: from the newest). */
AWAITS enum db_status queue_bulk_list(struct arena *arena, const struct provision_page *page, struct queue_bulk **out,
                                      unsigned *count) __attribute__((warn_unused_result));
/* IN_USE: it is not what was counted, or was started before. */
AWAITS enum db_write queue_bulk_start(struct arena *arena, int64_t id, int64_t count,
                                      const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* The batch that is under way is done yet.  IN_USE: it is over. */
AWAITS enum db_write queue_bulk_stop(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                     struct provision_refusal *refusal) __attribute__((warn_unused_result));

/* A task of the API's process: carries out what is running. */
AWAITS void queue_bulk_for_ever(void *unused);

#endif
