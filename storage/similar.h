#ifndef STORAGE_SIMILAR_H
#define STORAGE_SIMILAR_H
/*
 * similar: groups of held messages of an account that are alike, so that they can be decided about together.
 *
 * What is held by 'breaker' or 'compromised' is put into a group a moment after it was accepted
 * (daemon/breaker_groups.c).  A group is its first message: others whose hash differs from that one's in SIMILAR_BITS
 * at most are in it.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/provision.h"
#include "storage/status.h"

#define SIMILAR_BITS 12
#define SIMILAR_GROUPS_MAX 1000 /* of an account; what would be a further one joins the one that is nearest */

struct similar_message {
    int64_t message_id, account_id;
};
/* Messages of these cells that are in no group yet. */
AWAITS enum db_status similar_ungrouped(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                                        struct similar_message **out, unsigned *count)
    __attribute__((warn_unused_result));
/* Puts it into its group, which is made if there is none.  May be repeated. */
AWAITS enum db_write similar_put(const struct similar_message *message, uint64_t hash, struct slice subject)
    __attribute__((warn_unused_result));
/* Groups of which nothing is held any more go. */
AWAITS enum db_write similar_clean(const int16_t *cells, unsigned cell_count) __attribute__((warn_unused_result));

struct similar_group {
    int64_t id, message_id; /* of the first */
    struct slice subject;   /* likewise */
    int64_t messages, recipients, first_ms, last_ms;
};
/* Of what is held now; page->after is a group's id. */
AWAITS enum db_status similar_list(struct arena *arena, int64_t account_id, const struct provision_page *page,
                                   struct similar_group **out, unsigned *count) __attribute__((warn_unused_result));

#endif
