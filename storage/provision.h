#ifndef STORAGE_PROVISION_H
#define STORAGE_PROVISION_H
/*
 * provision: the write side of the directory, for the administration API.  One file per resource
 * (provision_customer, _domain, _account, _network); here is what they share.
 *
 * Every change is one transaction together with its row in audit_log, and DB_DONE means durable.  After a
 * broken connection the audit row tells whether the change happened, so UNCERTAIN is left only when the
 * database does not come back in time.
 *
 * Names are given in the form that storage/name.h makes.  Results live in the caller's arena.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

/* Who does it, for the audit log. */
struct provision_actor {
    int64_t token_id;
    const char *method, *path;
    unsigned status; /* what will be answered when it succeeds */
};

/* Why a change was refused (DB_REFUSED). */
struct provision_refusal {
    enum {
        PROVISION_TAKEN,   /* the natural key exists already: existing_id */
        PROVISION_IN_USE,  /* something refers to it */
        PROVISION_INVALID, /* what it refers to is not there, or not allowed */
        PROVISION_GONE,    /* the thing itself is not there (any more) */
    } kind;
    const char *field;   /* of the request, or NULL */
    const char *why;     /* a sentence */
    int64_t existing_id; /* TAKEN: 0 when it could not be found out */
};

/* For lists: ids ascend; after is exclusive, 0 begins. */
struct provision_page {
    int64_t after;
    unsigned limit;
};

/* ------------------------------------------------------------------ for the provision_*.c only */

struct db_unit;
struct db_statement;
/* Adds the audit row, runs, repeats conflicts, settles UNCERTAIN, explains DB_REFUSED. */
AWAITS enum db_write provision_run(struct db_unit *unit, const struct provision_actor *actor,
                                   struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* A change of two statements with an id as their parameter: that it is there (refuses "gone"), and its end. */
AWAITS enum db_write provision_remove(struct arena *arena, const struct db_statement *require,
                                      const struct db_statement *remove, int64_t id,
                                      const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* "a b c" from string_agg(..., ' ') as slices. {NULL,0}: none. */
struct slice *provision_words(struct arena *arena, struct slice text, unsigned *count);

#endif
