#ifndef DAEMON_TESTAMENT_H
#define DAEMON_TESTAMENT_H
/*
 * testament: what next hops have taken from a worker and the database does not know yet, and what they may be taking, in
 * memory that outlives the worker.
 *
 * After kill -9 the successor in the slot (daemon/succession.h) reads it and records those deliveries before what the
 * dead worker held is freed, so that they are not made again.  It outlives no machine, nor a master that is killed
 * with all its workers.
 */
#include "core/arena.h"
#include "core/slice.h"

/* In the master, before each fork of the slot's process. */
void testament_prepare(unsigned slot);
/* In a worker: the slot's is ours from now on. */
void testament_open(unsigned slot);

/* The predecessor's notes; valid until testament_clear().  A reply {NULL,0}: there was none yet. */
unsigned testament_read(struct arena *arena, int64_t **entry_ids, struct slice **replies);
void testament_clear(void);

/* The end of its content is about to be sent.  A place, or 0: there is no room, and it is sent as well as without. */
unsigned testament_begin(int64_t entry_id);
/* The next hop has it.  place: that of testament_begin(), or 0; what comes out is the same.  reply may be cut. */
unsigned testament_add(unsigned place, int64_t entry_id, struct slice reply);
void testament_remove(unsigned place); /* 0: nothing */

#endif
