#ifndef STORAGE_DECISION_H
#define STORAGE_DECISION_H
/*
 * decision: refusals that can be looked up by the id in their replies.
 *
 * Noting one waits for nothing: it is kept in memory and written a moment later, many in one statement, without
 * waiting for the disk.  What strangers can make grow is bounded: a worker notes DECISION_RATE a second
 * (DECISION_BURST at once), and while the database is away no more than DECISION_PENDING_MAX.  Beyond that a refusal
 * has no id, and its reply says none. A crash loses those that were not yet written; their ids then lead to nothing.
 *
 * Kept as long as events are (storage/maintenance).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define DECISION_RATE 100
#define DECISION_BURST 1000
#define DECISION_PENDING_MAX 4096

struct decision {
    int64_t id, at_ms;    /* filled in by decision_note() */
    unsigned cell;        /* whose: the customer's that it is about; 0: nobody's */
    struct slice command; /* "MAIL", "RCPT", "DATA"; "CONNECT": it is not served, or not any more */
    struct slice client;  /* {NULL,0}: not known */
    int64_t account_id;   /* who had signed in; 0: nobody */
    bool tls;
    struct slice certificate; /* SHA-256 of the client's; {NULL,0}: none */
    struct slice sender;      /* empty: the null sender */
    struct slice recipient;   /* {NULL,0}: none */
    uint64_t size;            /* as declared; 0: not told */
    struct slice verdict, reason;
    int64_t grant_id;   /* 0: none */
    struct slice limit; /* {NULL,0}: none */
    unsigned code;
    struct slice enhanced, text;
    unsigned tarpit_ms; /* for which the answer was held back */
};

/* Copies it.  Its id, or 0: it is not noted.  On the loop or in a task. */
int64_t decision_note(const struct decision *decision);

/* A task of the worker's. */
AWAITS void decision_write_for_ever(void *unused);
/* At the end of a worker: tries once to write what is noted and not yet on its way. */
AWAITS void decision_flush(void);

AWAITS enum db_status decision_find(struct arena *arena, int64_t id, struct decision *out)
    __attribute__((warn_unused_result));

#endif
