#ifndef STORAGE_BREAKER_H
#define STORAGE_BREAKER_H
/*
 * breaker: patterns of accounts' sending, and breakers that are open, for all nodes.  relay/breaker.h decides,
 * relay/breaker_watch.h counts.
 *
 * A pattern is compared and set: it is read with its version, changed here, and written if it still has that version.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/breaker_policy.h"
#include "storage/status.h"

#define BREAKER_MOST UINT32_C(1000000000) /* no number is more */

/* An hour's numbers of each measure, in this order. */
struct breaker_pattern {
    int64_t hour; /* since 1970, of now; 0: it has none yet */
    uint32_t now[BREAKER_HOURLY], before[BREAKER_HOURLY], day[BREAKER_HOURLY], usual[BREAKER_HOURLY];
    uint32_t days;
};

struct breaker_trip {
    enum breaker_measure measure;
    uint32_t value, limit;
};

struct breaker_account {
    int64_t account_id;
    int64_t version;       /* 0: there is no row */
    uint32_t new_failures; /* that the pattern does not have yet */
    int64_t customer_id, domain_id;
    struct slice address;
    struct breaker_pattern pattern;
    uint32_t countries; /* new to it today */
};

const char *breaker_measure_word(enum breaker_measure measure);
bool breaker_measure_parse(struct slice word, enum breaker_measure *out);

/* Accounts that are gone are left out. */
AWAITS enum db_status breaker_read(struct arena *arena, const int64_t *accounts, unsigned count,
                                   struct breaker_account **out, unsigned *found) __attribute__((warn_unused_result));
/* Accounts of these cells whose mail has failed and whose patterns do not have it yet. */
AWAITS enum db_status breaker_failing(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                                      int64_t **out, unsigned *count) __attribute__((warn_unused_result));
/*
 * Writes patterns whose version is still theirs; new_failures is taken off.  written[i]: this one was.  It does not
 * wait for the disk: a crash may lose counts of a moment.
 */
AWAITS enum db_write breaker_write(const struct breaker_account *accounts, unsigned count, bool *written)
    __attribute__((warn_unused_result));

/*
 * Opens: what the account sends is held from now on, on this node at once, on others within a second.  *opened: false
 * if it is held already.  With it goes what webhooks are told.
 */
AWAITS enum db_write breaker_open(int64_t account_id, const struct breaker_trip *trip,
                                  const struct breaker_policy *policy, bool *opened)
    __attribute__((warn_unused_result));
/* Those whose time is over are closed.  *count: how many. */
AWAITS enum db_write breaker_close_over(unsigned *count) __attribute__((warn_unused_result));

/* Notes that these have sent from there; the same account may be there with several. */
AWAITS enum db_write breaker_country_note(const int64_t *accounts, const struct slice *addresses, unsigned count)
    __attribute__((warn_unused_result));
/* What has not been seen for long. */
AWAITS enum db_write breaker_country_forget(const int16_t *cells, unsigned cell_count)
    __attribute__((warn_unused_result));

/* Counts failures, for storage/queue_report.c: before the entries are deleted, so that to repeat it counts nothing. */
struct db_unit;
void breaker_add_failures(struct db_unit *unit, const int16_t *cells, const int64_t *entries, unsigned count);
/* A row that knows of nothing, unless the account has one. */
void breaker_make_add(struct db_unit *unit, int64_t account_id);

/* ------------------------------------------------------------------ what is to be done about open ones */

struct breaker_work {
    int64_t account_id, customer_id, notice_id;
    struct slice address, notify; /* notify: who else is told; {NULL,0}: nobody */
    struct breaker_trip trip;
    int64_t opened_ms, until_ms, hold_ms; /* until_ms INT64_MIN: somebody closes it */
    enum hold_then then;
    bool told;
    bool look; /* through what it has waiting */
};
/* Of these cells' accounts. */
AWAITS enum db_status breaker_work_list(struct arena *arena, const int16_t *cells, unsigned cell_count,
                                        struct breaker_work **out, unsigned *count) __attribute__((warn_unused_result));
/* Is the notice there already? */
AWAITS enum db_status breaker_is_told(int64_t notice_id) __attribute__((warn_unused_result));
AWAITS enum db_write breaker_told(int64_t account_id) __attribute__((warn_unused_result));
/*
 * Holds what the account has waiting, some after the entry *after, which moves on; 0: it is through, and that is noted.
 * *held: how many more.
 */
AWAITS enum db_write breaker_hold_waiting(const struct breaker_work *work, int64_t *after, unsigned *held)
    __attribute__((warn_unused_result));

#endif
