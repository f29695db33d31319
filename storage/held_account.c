/*
 * held_account: the list in memory.
 *
 * It is short, asked once for each message that an account submits, and changed seldom: all of it is kept, sorted by
 * account, and looked for by bisection.  When it is read: storage/known.c.
 *
 * The mark is a row of its own and no state of the account: an account that is held signs in, reads and receives as
 * before, whatever its state is; and a state would be asked of the account as it was when the session signed in, while
 * a session that is open when the mark is made is the very one that is meant.
 */
#include "storage/held_account.h"

#include <stdlib.h>

#include "core/clock.h"
#include "storage/db.h"

static struct arena *memory;
static struct held_account *list;
static unsigned count;

/* ------------------------------------------------------------------ asking */

static int compare(const void *a, const void *b)
{
    const struct held_account *x = a, *y = b;

    return (x->account_id > y->account_id) - (x->account_id < y->account_id);
}

bool held_account_find(struct arena *arena, int64_t account_id, struct held_account *out)
{
    const struct held_account key = {.account_id = account_id};
    const struct held_account *found = count ? bsearch(&key, list, count, sizeof *list, compare) : NULL;

    if (!found || (found->until_ms != INT64_MIN && found->until_ms <= clock_now_ms()))
        return false;
    *out = *found;
    out->reason = arena_slice(arena, found->reason);
    return true;
}

struct hold held_account_hold(const struct held_account *held, int64_t now_ms)
{
    return (struct hold){
        .until_ms = now_ms + held->hold_ms,
        .by = held->breaker ? HOLD_BY_BREAKER : HOLD_BY_COMPROMISED,
        .then = held->then,
        .reason = held->reason,
        .approval = true,
    };
}

/* ------------------------------------------------------------------ knowing */

static const struct db_statement read_list = {"held_account_list",
                                              "select account_id, reason, hold_seconds, hold_then, created_at,"
                                              "       until, held_by = 'breaker'"
                                              "  from held_account order by account_id limit $1::integer"};

AWAITS enum db_status held_account_read(struct arena *arena)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int32(&params, 2 * HELD_ACCOUNTS_MAX);
    if (db_read(arena, &read_list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    arena_free(&memory);
    memory = arena_new(SIZE_MAX);
    count = rows_count(rows);
    list = arena_array(memory, count + 1, sizeof *list);
    for (unsigned i = 0; i < count; i++) {
        list[i] = (struct held_account){
            .account_id = row_int64(rows, i, 0),
            .reason = arena_slice(memory, row_text(rows, i, 1)),
            .hold_ms = row_int64(rows, i, 2) * 1000,
            .created_ms = row_time(rows, i, 4),
            .until_ms = row_time(rows, i, 5),
            .breaker = row_bool(rows, i, 6),
        };
        hold_then_parse(row_text(rows, i, 3), &list[i].then);
    }
    qsort(list, count, sizeof *list, compare);
    return DB_FOUND;
}
