/*
 * breaker_policy: the list in memory.
 *
 * Kept sorted by whose it is, and looked for by bisection, the narrowest first.  Ids of accounts, domains and customers
 * are all different, so one number says whose; 0 is everybody.  When it is read: storage/known.c.
 */
#include "storage/breaker_policy.h"

#include <stdlib.h>

#include "storage/db.h"

static struct arena *memory;
static struct breaker_policy *list;
static unsigned count;

/* ------------------------------------------------------------------ asking */

static int64_t whose(const struct breaker_policy *policy)
{
    return policy->account_id + policy->domain_id + policy->customer_id;
}

static int compare(const void *a, const void *b)
{
    int64_t x = whose(a), y = whose(b);

    return (x > y) - (x < y);
}

const struct breaker_policy *breaker_policy_of(int64_t customer_id, int64_t domain_id, int64_t account_id)
{
    const int64_t keys[] = {account_id, domain_id, customer_id, 0};

    for (unsigned i = 0; count && i < sizeof keys / sizeof *keys; i++) {
        const struct breaker_policy key = {.account_id = keys[i]};
        const struct breaker_policy *found = bsearch(&key, list, count, sizeof *list, compare);

        if (found)
            return found->enabled ? found : NULL;
    }
    return NULL;
}

/* ------------------------------------------------------------------ knowing */

static const struct db_statement read_list = {
    "breaker_policy_list", "select " BREAKER_POLICY_COLUMNS " from breaker_policy order by id limit $1::integer"};

void breaker_policy_row(const struct rows *rows, unsigned row, struct breaker_policy *out)
{
    *out = (struct breaker_policy){
        .id = row_int64(rows, row, 0),
        .customer_id = row_int64(rows, row, 1),
        .domain_id = row_int64(rows, row, 2),
        .account_id = row_int64(rows, row, 3),
        .enabled = row_bool(rows, row, 4),
        .factor = (uint32_t)row_int64(rows, row, 8),
        .countries = (uint32_t)row_int64(rows, row, 9),
        .hold_ms = row_int64(rows, row, 10) * 1000,
        .open_ms = row_int64(rows, row, 12) * 1000,
        .notify = row_text(rows, row, 13),
        .label = row_text(rows, row, 14),
        .created_ms = row_time(rows, row, 15),
    };
    for (unsigned m = 0; m < BREAKER_HOURLY; m++)
        out->least[m] = (uint32_t)row_int64(rows, row, 5 + m);
    hold_then_parse(row_text(rows, row, 11), &out->then);
}

AWAITS enum db_status breaker_policy_read(struct arena *arena)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int32(&params, 2 * BREAKER_POLICIES_MAX);
    if (db_read(arena, &read_list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    arena_free(&memory);
    memory = arena_new(SIZE_MAX);
    count = rows_count(rows);
    list = arena_array(memory, count + 1, sizeof *list);
    for (unsigned i = 0; i < count; i++) {
        breaker_policy_row(rows, i, &list[i]);
        list[i].notify = list[i].notify.p ? arena_slice(memory, list[i].notify) : list[i].notify;
        list[i].label = (struct slice){NULL, 0};
    }
    qsort(list, count, sizeof *list, compare);
    return DB_FOUND;
}
