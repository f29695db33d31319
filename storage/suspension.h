#ifndef STORAGE_SUSPENSION_H
#define STORAGE_SUSPENSION_H
/*
 * suspension: destinations, senders and customers whose mail is not delivered for now.
 *
 * It is accepted, and held when a worker comes upon it, or when it is found waiting.  Each worker has the whole list in memory (storage/known.h),
 * and so learns of a new one within a second.  Mail for mailboxes here is not on its way and is filed all the same.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define SUSPENSION_MAX 1000

enum suspension_kind { SUSPENSION_DESTINATION, SUSPENSION_SENDER, SUSPENSION_CUSTOMER };

struct suspension {
    int64_t id;
    enum suspension_kind kind;
    struct slice value, reason;
    int64_t expires_ms; /* INT64_MIN: when somebody resumes it */
    int64_t created_ms;
};

const char *suspension_kind_word(enum suspension_kind kind);
bool suspension_kind_parse(struct slice word, enum suspension_kind *out);

/* Is mail like this suspended?  The first that says so, its words in the arena. */
bool suspension_covers(struct arena *arena, struct slice sender, int64_t customer_id, struct slice destination,
                       struct slice recipient, struct suspension *out) __attribute__((warn_unused_result));

/* For storage/known.c. */
AWAITS enum db_status suspension_read(struct arena *arena) __attribute__((warn_unused_result));

/*
 * Holds entries that are leased to this worker.  *count: the ids are reduced to those that are held now; the others
 * are leased to it as before: it was resumed meanwhile.
 */
AWAITS enum db_write suspension_park(const struct suspension *suspension, int64_t *entry_ids, unsigned *count)
    __attribute__((warn_unused_result));

/* A task of the API's process: what was held by those that are over goes on, and then they are forgotten. */
AWAITS void suspension_sweep_for_ever(void *unused);

#endif
