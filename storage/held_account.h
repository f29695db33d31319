#ifndef STORAGE_HELD_ACCOUNT_H
#define STORAGE_HELD_ACCOUNT_H
/*
 * held_account: accounts that are thought to be compromised: what they send is accepted, and held for approval.
 *
 * Each worker has the whole list in memory (storage/known.h), and so learns of a new one within a second; asking costs
 * no round trip.  Reading is not touched: the owner gets at his mail.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/hold.h"
#include "storage/status.h"

#define HELD_ACCOUNTS_MAX 10000

struct held_account {
    int64_t account_id;
    struct slice address;
    struct slice by; /* who has marked it, a word: "administrator", "breaker" */
    struct slice reason;
    int64_t hold_ms; /* so long at most, then: */
    enum hold_then then;
    int64_t created_ms;
    int64_t until_ms; /* it ends by itself; INT64_MIN: somebody ends it */
    bool breaker;     /* by says so */
};

/*
 * Is what this account sends held?  Does not wait; address and by are not filled in, the reason is
 * in the arena.
 */
bool held_account_find(struct arena *arena, int64_t account_id, struct held_account *out)
    __attribute__((warn_unused_result));

struct hold held_account_hold(const struct held_account *held, int64_t now_ms);

/* For storage/known.c. */
AWAITS enum db_status held_account_read(struct arena *arena) __attribute__((warn_unused_result));

#endif
