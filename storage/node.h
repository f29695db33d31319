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

/* Which process has or had a number; its row in `worker` is found by all of it. */
struct node_identity {
    unsigned number;
    int32_t pid;
    int64_t started_ms; /* 0: nobody */
};

/* Sets id_set_worker().  node: the host's name; must stay.  Takes the number it had, if nobody else did meanwhile. */
AWAITS enum db_write node_register(const char *node) __attribute__((warn_unused_result));
/* A number only, no cells: for the admin process, which makes ids but delivers nothing. */
AWAITS enum db_write node_register_plain(const char *node) __attribute__((warn_unused_result));
/* Every NODE_RENEW_MS.  CONFLICT: the number was lost to another; register again. */
AWAITS enum db_write node_renew(void) __attribute__((warn_unused_result));
/* Gives number and cells back at once (orderly stop). */
AWAITS enum db_write node_leave(void) __attribute__((warn_unused_result));
bool node_alive(void);
/* This process's, since it registered last. */
struct node_identity node_identity(void);
/*
 * Frees at once what a process of this node held that is known to be dead: entries in its memory, cells, its number.
 * Whoever calls has seen its end (waitpid); a node that merely does not answer is never buried, its leases run out.
 * May be repeated.
 */
AWAITS enum db_write node_bury(const char *node, struct node_identity dead) __attribute__((warn_unused_result));
/* The cells leased to this worker now; none while it is not alive; valid until the next wait. */
const int16_t *node_cells(unsigned *count);
/* How many delivering workers live, in the whole installation.  FOUND also when there are none. */
AWAITS enum db_status node_count(unsigned *workers) __attribute__((warn_unused_result));

#endif
