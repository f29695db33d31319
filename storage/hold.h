#ifndef STORAGE_HOLD_H
#define STORAGE_HOLD_H
/*
 * hold: queue entries that wait on purpose: until a moment, or until somebody decides, but never for ever: each hold
 * says when it ends by itself, and what happens then.
 * schema/STATES.md has the states.
 *
 * A held entry is in nobody's memory, and nothing is claimed, bounced for its lifetime, told late or shown of it.
 * Its lifetime and the time for a delay notice stand still meanwhile: expires_at and delay_at are those of a release
 * at until_ms.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/queue.h"
#include "storage/status.h"

enum hold_by {
    HOLD_BY_SENDER,
    HOLD_BY_LIMIT,
    HOLD_BY_ADMINISTRATOR,
    HOLD_BY_SUSPENSION,
    HOLD_BY_READER,
    HOLD_BY_COMPROMISED,   /* the account that sent it */
    HOLD_BY_RULE,          /* a content rule of whose recipient it is for */
    HOLD_BY_BREAKER,       /* the sending of the account that sent it has left its pattern */
    HOLD_BY_DRILL,         /* of the account that it is for */
    HOLD_BY_OUTGOING_RULE, /* a content rule of whose sender it is from */
};
enum hold_then { HOLD_THEN_RELEASE, HOLD_THEN_REJECT, HOLD_THEN_DISCARD };

struct hold {
    int64_t until_ms; /* 0: not held */
    enum hold_by by;
    enum hold_then then; /* when until_ms has come and nobody decided before */
    struct slice reason; /* in words, for administrators */
    bool approval;       /* somebody is meant to decide, until_ms at the latest */
    bool quarantine;     /* for what it contains */
};

/* As in the database and the API. */
const char *hold_by_word(enum hold_by by);
const char *hold_then_word(enum hold_then then);
bool hold_by_parse(struct slice word, enum hold_by *out);
bool hold_then_parse(struct slice word, enum hold_then *out);

#define HOLD_APPROVAL_MS (INT64_C(30) * 24 * 60 * 60 * 1000) /* until approval, where no time is said */

/* For an event: "for approval, until 2026-12-24T08:00:00.000Z, then reject: a virus?" */
struct slice hold_detail(struct arena *arena, const struct hold *hold);

/*
 * Releases those whose time has come and that are to be released: they wait like any other from now on.  One
 * transaction; may be repeated. *count: how many; limit: there may be more.
 */
AWAITS enum db_write hold_release_due(const int16_t *cells, unsigned cell_count, unsigned limit, unsigned *count)
    __attribute__((warn_unused_result));
/*
 * Discards those whose time has come and that are to be discarded: they are gone, and an event tells; nobody else is
 * told.  Otherwise the same.
 */
AWAITS enum db_write hold_discard_due(const int16_t *cells, unsigned cell_count, unsigned limit, unsigned *count)
    __attribute__((warn_unused_result));
/* Those that are to be rejected, claimed for bouncing like queue_claim_expired(). */
AWAITS enum db_status hold_claim_rejected(struct arena *arena, const int16_t *cells, unsigned cell_count,
                                          unsigned limit, struct queue_entry **out, unsigned *count)
    __attribute__((warn_unused_result));

#endif
