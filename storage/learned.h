#ifndef STORAGE_LEARNED_H
#define STORAGE_LEARNED_H
/*
 * learned: what the primaries of relay domains have said about addresses, shared by all nodes.
 *
 * Facts with a time until which they are believed without asking again; what an older one is worth is decided in
 * relay/verify.h. Writing one may be lost in a crash: then it is asked again.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

struct learned_settings {
    int64_t valid_ms, invalid_ms; /* how long it is believed */
    unsigned valid_max;           /* addresses of a domain; a tenth as many that do not exist */
};
void learned_configure(const struct learned_settings *settings);

struct learned {
    bool known, valid; /* of the address */
    int64_t learned_ms, until_ms;
    bool accepts_all;     /* the primary takes what cannot exist */
    int64_t all_until_ms; /* INT64_MIN: it was not tried */
};

/* FOUND whenever it could be asked.  fresh: not from memory, where an answer may be ten seconds old. */
AWAITS enum db_status learned_find(struct arena *arena, int64_t domain_id, const struct slice *addresses,
                                   unsigned count, bool fresh, struct learned *out) __attribute__((warn_unused_result));

struct learned_fact {
    int64_t domain_id;
    struct slice address; /* in any case */
    bool valid;
};
/* Of domains that learn; others are passed over, and so is what there is no room for. */
AWAITS enum db_write learned_note(const struct learned_fact *facts, unsigned count) __attribute__((warn_unused_result));
AWAITS enum db_write learned_note_accepts_all(int64_t domain_id, bool accepts_all) __attribute__((warn_unused_result));

#endif
