#ifndef STORAGE_FILE_H
#define STORAGE_FILE_H
/*
 * file: puts queue entries with destination "mailbox" into the INBOXes of their accounts, and ends them.
 *
 * One transaction: the message is in the mailbox and its entry gone, or neither.  Only entries that are leased to
 * this worker are touched; one that is gone was filed before, so it may be repeated.
 */
#include <stdint.h>

#include "core/task.h"
#include "storage/status.h"

struct db_unit;
struct rows;

/*
 * DONE: all of them that were ours are filed, now or before.  REFUSED: an account among them is gone, or takes no mail
 * any more; nothing was done.
 */
AWAITS enum db_write file_entries(const int64_t *entry_ids, unsigned count) __attribute__((warn_unused_result));

/* For accept_batch.c: the same as a part of its transaction.  The step whose rows file_tell() wants after DONE. */
unsigned file_add(struct db_unit *unit, const int64_t *entry_ids, unsigned count);
void file_tell(const struct rows *rows);

#endif
