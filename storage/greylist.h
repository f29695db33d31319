#ifndef STORAGE_GREYLIST_H
#define STORAGE_GREYLIST_H
/*
 * greylist: who came with mail from whom to whom, and since when; RFC 6647.  All nodes share it.
 *
 * Looking is one round trip; what is seen is noted in memory and written a moment later, many in one transaction that
 * does not wait for the disk.  A crash loses what was not yet written: those clients have to come once more.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define GREYLIST_RATE 200 /* new ones a second that a worker notes */
#define GREYLIST_BURST 2000
#define GREYLIST_PENDING_MAX 4096
#define GREYLIST_CLIENT_MAX 1000 /* of one network in a cell that have not come again; more are put off and not noted */
#define GREYLIST_CELL_WAITING_MAX 20000 /* of a cell that have not come again; maintenance removes the oldest of more */
#define GREYLIST_CELL_MAX 100000        /* triples of a cell, and as many clients */
#define GREYLIST_TRIPLE_SIZE 16

struct greylist_key {
    unsigned cell;
    int64_t customer_id; /* of the recipient's domain: with whom passes are earned */
    const char *client;  /* what comes again from another address is the same: IPv4 /24, IPv6 /64 */
    unsigned char triple[GREYLIST_TRIPLE_SIZE];
};
/* client: an address.  False: it is none. */
bool greylist_key(struct arena *arena, unsigned cell, int64_t customer_id, const char *client, struct slice sender,
                  struct slice recipient, struct greylist_key *out) __attribute__((warn_unused_result));

enum greylist_state {
    GREYLIST_NEW,     /* never seen */
    GREYLIST_WAITING, /* the delay is not over */
    GREYLIST_PASSED,
    GREYLIST_KNOWN, /* a client that has come again often enough */
};
struct greylist_answer {
    enum greylist_state state;
    unsigned wait_s; /* NEW, WAITING: how long still */
    bool note;       /* what is known changes by its coming: greylist_note() */
    bool first;      /* PASSED: for the first time */
};
/* FOUND or FAILED.  passes_max: then a client is known; 0: never. */
AWAITS enum db_status greylist_find(struct arena *arena, const struct greylist_key *key, unsigned delay_s,
                                    unsigned passes_max, struct greylist_answer *out)
    __attribute__((warn_unused_result));
/* Copies.  On the loop or in a task. */
void greylist_note(const struct greylist_key *key, const struct greylist_answer *answer);

/* A task of the worker's. */
AWAITS void greylist_write_for_ever(void *unused);
/* At the end of a worker. */
AWAITS void greylist_flush(void);

/* "new" and so on. */
const char *greylist_state_word(enum greylist_state state);

#endif
