#ifndef STORAGE_OUTAGE_H
#define STORAGE_OUTAGE_H
/*
 * outage: one relay domain's primary is away.  While a row of `outage` is open, mail for accounts of the
 * domain is shown in their INBOX: accept_commit() does it for new mail when the session saw the outage,
 * outage_show() does it for what waited before and for what slipped between (it is run every half second
 * while the outage is open, and costs one index probe when there is nothing to do).
 *
 * Showing adds a mailbox_message and sets queue_entry.shown; delivery is not touched by it, nor by what
 * the reader does with the copy.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

struct outage {
    int64_t id, domain_id;
    unsigned cell;
    struct slice domain; /* name */
    struct slice reason;
    int64_t started_ms, ended_ms; /* ended: INT64_MIN while open */
    int64_t probe_wanted_ms;      /* when somebody asked for a probe; INT64_MIN: nobody did */
    bool fast, newest_first;      /* how it is to be drained, by request */
    struct slice forced;          /* "down": nothing is sent, nor probed; "up": it answers, probe or not; {NULL,0} */
};

struct outage_opened {
    bool opened, open;   /* open: it, or one that was there.  False: the domain is forced up, or gone */
    struct slice domain; /* name */
};
/* detection: "delivery", "probe", "forced", "maintenance" or "drill". */
AWAITS enum db_write outage_open(struct arena *arena, int64_t domain_id, struct slice reason, const char *detection,
                                 struct outage_opened *out) __attribute__((warn_unused_result));
/* It ends, if it is open.  What it came to is found out afterwards: outage_report.h. */
AWAITS enum db_write outage_close(int64_t outage_id, int64_t domain_id, const char *why) __attribute__((warn_unused_result));
/* The same as a part of another transaction, of whichever is open. */
struct db_unit;
void outage_end(struct db_unit *unit, int64_t domain_id, const char *why, int64_t ended_ms);
/* FOUND.  Is one open that nobody found, but somebody planned?  From the cache, so it costs little. */
AWAITS enum db_status outage_is_planned(int64_t domain_id, bool *planned) __attribute__((warn_unused_result));
/* The primary answers. */
AWAITS enum db_write outage_note_back(int64_t outage_id) __attribute__((warn_unused_result));
/* All that waited is readable; of whichever is open. */
AWAITS enum db_write outage_note_shown(int64_t domain_id) __attribute__((warn_unused_result));
/* Open outages in these cells. */
AWAITS enum db_status outage_list_open(struct arena *arena, const int16_t *cells, unsigned cell_count,
                                       struct outage **out, unsigned *count) __attribute__((warn_unused_result));

#endif
