#ifndef STORAGE_NODE_H
#define STORAGE_NODE_H
/*
 * node: this worker's number and the cells it looks after, both leased in the database.
 *
 * The number goes into every id that this process makes, so two living processes must never share one:
 * node_register() takes a number whose lease ran out, node_renew() keeps it.  A worker whose lease ran out
 * (the database was away for NODE_LEASE_MS) stops making ids (node_alive() is false: 451) until it has
 * registered again.
 *
 * Cells are shared out evenly among living workers: node_renew() gives up what is too much and takes what
 * is free or whose holder is dead.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/task.h"
#include "storage/status.h"

#define NODE_LEASE_MS 30000
#define NODE_RENEW_MS 5000

/* Sets id_set_worker().  node: the host's name. */
AWAITS enum db_write node_register(const char *node) __attribute__((warn_unused_result));
AWAITS enum db_write node_renew(void) __attribute__((warn_unused_result));
/* Gives number and cells back at once (orderly stop). */
AWAITS enum db_write node_leave(void) __attribute__((warn_unused_result));
bool node_alive(void);
/* The cells leased to this worker now; valid until the next wait. */
const int16_t *node_cells(unsigned *count);

#endif
