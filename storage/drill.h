#ifndef STORAGE_DRILL_H
#define STORAGE_DRILL_H
/*
 * drill: a pretend outage of one account: its mail is held and readable, that of the rest of its domain flows.
 *
 * A domain's drill is an outage of the domain (storage/outage.h); this has a row of outage, too, whose account_id says
 * so.  What would go to the primary is held by 'drill' until its time is over, and then released as any held mail is.
 *
 * Each process has those that are open in memory (storage/known.h), so that accepting costs no round trip.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/accept.h"
#include "storage/status.h"

/* ------------------------------------------------------------------ who accepts */

/* The outage of an account's drill that is open; 0: none.  Does not wait. */
int64_t drill_outage(int64_t account_id);
/*
 * Mail for an account in a drill is held, or waits behind what was.  What somebody else holds stays as it is, and so
 * does what an outage of the domain shows.  Does not wait.
 */
void drill_apply(struct arena *arena, struct accept_message *const *messages, unsigned count);

/* Why an entry is held, and how its event ends. */
struct slice drill_reason(struct arena *arena, int64_t outage_id);

/* For storage/known.c. */
AWAITS enum db_status drill_read(struct arena *arena) __attribute__((warn_unused_result));

/* ------------------------------------------------------------------ who runs it: the holder of the cell */

struct drill {
    int64_t outage_id, account_id, domain_id; /* domain_id 0: the account is gone */
    unsigned cell;
    struct slice account; /* its address */
    int64_t back_ms;      /* since when it is over; INT64_MIN: it is not */
    int64_t ends_ms;      /* INT64_MIN: with the account, or its drill, gone */
    bool shown;           /* all that waited was readable */
};

/* Begins those whose time has come. *count: how many. */
AWAITS enum db_write drill_begin(const int16_t *cells, unsigned cell_count, unsigned *count)
    __attribute__((warn_unused_result));
/* Those that are open.  FOUND also when there is none. */
AWAITS enum db_status drill_open(struct arena *arena, const int16_t *cells, unsigned cell_count, struct drill **out,
                                 unsigned *count) __attribute__((warn_unused_result));
/* Holds up to limit of what waits for the account; puts up to limit of what is held into its INBOX, oldest first. */
AWAITS enum db_write drill_hold(const struct drill *drill, unsigned limit, unsigned *count)
    __attribute__((warn_unused_result));
AWAITS enum db_write drill_show(const struct drill *drill, unsigned limit, unsigned *count)
    __attribute__((warn_unused_result));
AWAITS enum db_write drill_note_shown(const struct drill *drill) __attribute__((warn_unused_result));
/* Its time is over: sessions hold nothing any more. */
AWAITS enum db_write drill_note_back(const struct drill *drill) __attribute__((warn_unused_result));
/* Lets up to limit go whose time has not come yet, as it was ended before. */
AWAITS enum db_write drill_release(const struct drill *drill, unsigned limit, unsigned *count)
    __attribute__((warn_unused_result));
/* FOUND.  Is all that was accepted before it was over delivered, put off, or held by somebody else? */
AWAITS enum db_status drill_is_even(const struct drill *drill, bool *even) __attribute__((warn_unused_result));
/* It ends, with its counts; what its account has made and sent meanwhile is looked for (storage/outage_report.h). */
AWAITS enum db_write drill_close(const struct drill *drill, const char *why) __attribute__((warn_unused_result));

#endif
