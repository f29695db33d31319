#ifndef STORAGE_MAILBOX_WRITE_H
#define STORAGE_MAILBOX_WRITE_H
/* mailbox_write: copying as a part of a larger transaction.  For storage only. */
#include <stdbool.h>
#include <stdint.h>

struct db_unit;
/* As mailbox_copy(), or with move as mailbox_move().  Returns the step that mailbox_copy_done() looks at. */
unsigned mailbox_copy_add(struct db_unit *unit, int64_t from_id, const int64_t *uids, unsigned count, int64_t to_id,
                          bool move);
/* After DONE: tells other sessions, and what came of it.  False: the target is gone. */
bool mailbox_copy_done(const struct db_unit *unit, unsigned step, int64_t from_id, int64_t to_id, bool move,
                       int64_t *first_uid, unsigned *copied);

#endif
