#ifndef STORAGE_CARRY_COPY_H
#define STORAGE_CARRY_COPY_H
/*
 * carry_copy: the copies of shown mail, in the transaction that says what became of it.  Inside storage only.
 *
 * While an entry is to be delivered its copies carry the keyword $Held, afterwards $Delivered (carry_keyword.h); one
 * that is returned to its sender, or cancelled, leaves its copies without either.
 */
#include <stdbool.h>
#include <stdint.h>

struct db_unit;
struct rows;

#define CARRY_COPY_KEEP_DAYS 14 /* continuity_policy.copy_keep_days, when it is not set */
#define CARRY_COPY_STEPS 4

/*
 * Adds steps for entries that end now, before they are deleted.  delivered: of each.  Returns the number of the step
 * whose rows carry_copy_tell() is to be given when all is done.
 */
unsigned carry_copy_add(struct db_unit *unit, const int16_t *cells, const int64_t *entry_ids, const bool *delivered,
                        unsigned count);
/* Sessions that have the mailboxes open. */
void carry_copy_tell(const struct rows *mailboxes);

#endif
