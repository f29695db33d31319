#ifndef DAEMON_TESTAMENT_H
#define DAEMON_TESTAMENT_H
/*
 * testament: what next hops have taken from a worker and the database does not know yet, in memory that outlives the
 * worker.
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

/* The predecessor's notes; valid until testament_clear(). */
unsigned testament_read(struct arena *arena, int64_t **entry_ids, struct slice **replies);
void testament_clear(void);

/* A place for testament_remove(), or 0: there is no room, and it is recorded as well as without.  reply may be cut. */
unsigned testament_add(int64_t entry_id, struct slice reply);
void testament_remove(unsigned place); /* 0: nothing */

#endif
