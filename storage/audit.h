#ifndef STORAGE_AUDIT_H
#define STORAGE_AUDIT_H
/*
 * audit: the audit log, as an administrator reads it.  Rows are written with what they tell of (storage/provision.c,
 * storage/queue_audit.c) and go when they are old.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

/* All that is given must hold. */
struct audit_filter {
    struct slice actor;          /* a token's id or label, or the account of an ETRN or ATRN; {NULL,0}: anybody */
    struct slice action;         /* exactly; {NULL,0}: any */
    struct slice object;         /* a path: it, and what is below it; {NULL,0}: any */
    int64_t since_ms, before_ms; /* INT64_MIN: whenever */
};

struct audit_row {
    int64_t id, at_ms;
    int64_t token_id;                  /* 0: it was not done by the API */
    struct slice label;                /* the token's; {NULL,0}: it is gone, or there was none */
    struct slice method, path, detail; /* detail {NULL,0}: none */
    int64_t status;
};

/*
 * Newest first, older than `before` (0: from the newest), at most limit.  Looks at some thousand rows: *next is where to go
 * on, 0: that was all.  FOUND also when it is empty.
 */
AWAITS enum db_status audit_list(struct arena *arena, const struct audit_filter *filter, int64_t before, unsigned limit,
                                 struct audit_row **out, unsigned *count, int64_t *next)
    __attribute__((warn_unused_result));

/* Rows older than that go, some thousand at a time; does nothing if it was called within the hour. */
AWAITS void audit_forget(int64_t retention_ms);

#endif
