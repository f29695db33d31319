#ifndef STORAGE_QUEUE_COUNT_H
#define STORAGE_QUEUE_COUNT_H
/*
 * queue_count: the queue in numbers, for metrics.  Every entry is counted: some 0.5 s for a million, so keep what you
 * get.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define QUEUE_COUNT_DESTINATIONS 20 /* the longest; a metric's labels must have an end */

enum queue_count_state {
    QUEUE_COUNT_WAITING,
    QUEUE_COUNT_HELD,
    QUEUE_COUNT_SUSPENDED,
    QUEUE_COUNT_ACTIVE,
    QUEUE_COUNT_STATES
};
enum queue_count_age {
    QUEUE_COUNT_MINUTE,
    QUEUE_COUNT_TEN,
    QUEUE_COUNT_HOUR,
    QUEUE_COUNT_DAY,
    QUEUE_COUNT_OLDER,
    QUEUE_COUNT_AGES
};

extern const char *const queue_count_states[QUEUE_COUNT_STATES]; /* as entries show them */
extern const char *const queue_count_ages[QUEUE_COUNT_AGES];

struct queue_count_destination {
    char *key;
    uint64_t entries; /* that wait, held ones and suspended ones, too */
    uint64_t failures;
    int64_t due_ms; /* when it is tried again; INT64_MIN: it is not away */
};
struct queue_count {
    uint64_t entries[QUEUE_COUNT_STATES][QUEUE_COUNT_AGES];
    int64_t oldest_ms[QUEUE_COUNT_STATES]; /* INT64_MIN: there is none */
    uint64_t outages_open, destinations_away;
    struct queue_count_destination destinations[QUEUE_COUNT_DESTINATIONS];
    unsigned destination_count;
};

/* What was found lives in the arena. */
AWAITS enum db_status queue_count(struct arena *arena, struct queue_count *out) __attribute__((warn_unused_result));

#endif
