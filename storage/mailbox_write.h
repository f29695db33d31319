#ifndef STORAGE_MAILBOX_WRITE_H
#define STORAGE_MAILBOX_WRITE_H
/*
 * mailbox_write: steps that changes to mailboxes are made of, and copying as a part of a larger transaction.  For
 * storage only.
 *
 * Of each mailbox that is changed the row comes first, by mailbox_lock(), mailbox_bump() or a statement of one's own;
 * two in the order of their ids.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/task.h"
#include "storage/status.h"

struct db_unit;
struct db_statement;
struct deletion;
struct mailbox_copying;
struct params;

/* A step whose first parameters are the id's cell and the id; the others are the caller's to add. */
struct params *mailbox_step(struct db_unit *unit, const struct db_statement *statement, int64_t id);
void mailbox_lock(struct db_unit *unit, int64_t mailbox_id);
/* A new modseq, which is the step's row; none: the mailbox is gone. */
void mailbox_bump(struct db_unit *unit, int64_t mailbox_id);
/* As db_unit_run(); what others had in their hands is tried again. */
AWAITS enum db_write mailbox_run(struct db_unit *unit) __attribute__((warn_unused_result));
/*
 * The same of a unit that removes items, with what the domain wants done about their delivery, as deletion_find() has
 * answered; FAILED: UNDONE.  After DONE other sessions are told.
 */
AWAITS enum db_write mailbox_run_removal(struct db_unit *unit, int64_t mailbox_id, enum db_status deletes,
                                         const struct deletion *deletion) __attribute__((warn_unused_result));

/* As mailbox_copy().  Returns the step that mailbox_copy_done() looks at. */
unsigned mailbox_copy_add(struct db_unit *unit, const struct mailbox_copying *copying);
/* After DONE: tells other sessions, and what came of it.  False: the target is gone. */
bool mailbox_copy_done(const struct db_unit *unit, unsigned step, struct mailbox_copying *copying);

#endif
