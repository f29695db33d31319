#ifndef DAEMON_SUCCESSION_H
#define DAEMON_SUCCESSION_H
/*
 * succession: under which identity the last process in a slot worked, for the one that takes its place.
 *
 * Leases tell other nodes that a worker is dead; its own node knows at once, because the master has reaped it.  So
 * each worker notes its identity in shared memory, and its successor in the slot frees what it held (node_bury)
 * instead of waiting for leases to run out.
 *
 * A worker killed while it writes its note leaves one that fits no row of the database: then leases run out as ever.
 */
#include <stdbool.h>

#include "storage/node.h"

void succession_init(void); /* in the master, before the first fork */
/* In a worker, after each registration. */
void succession_note(unsigned slot, struct node_identity identity);
/* In a worker, before its first registration: the predecessor's.  False: none. */
bool succession_of(unsigned slot, struct node_identity *dead);
/*
 * Records what its testament has (daemon/testament.h): deliveries, and what is in doubt.  False: it could not be done,
 * and is to be done again before what it held is freed.
 */
AWAITS bool succession_record(void) __attribute__((warn_unused_result));

#endif
