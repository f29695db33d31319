/*
 * drill: one account is treated as if its primary were away.
 *
 *     its time has come     drill_begin(): a row of outage; within a second each process knows (drill_read)
 *     mail is accepted      drill_apply(): held by 'drill' until the end, whoever it is from, our own notices included
 *     each tick             drill_hold(): what waits for another reason, put off before, joins it
 *                           drill_show(): what is held and not in the INBOX yet, oldest first
 *     its time is over      drill_note_back(); what is held is released by its time, as any held mail (storage/hold.c)
 *     nothing is left       drill_close()
 *
 * This is what all processes have in memory; what the holder of the cell does is in drill_run.c.
 *
 * Why held, and not a destination of its own: holding has all that is wanted, a time at which it ends whoever dies, and
 * nothing of it is known to what delivers.  New mail is shown by the tick and not in the transaction that accepts it,
 * so that one task gives the order.
 *
 * Mail that comes after the end and before it is closed waits behind what was held: it is claimed by the holder of the
 * cell, in order.
 */
#include "storage/drill.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"

/* ------------------------------------------------------------------ what is known */

struct known {
    int64_t account_id, outage_id, until_ms; /* until: INT64_MIN, it is over */
};

static struct known *list;
static unsigned count_known;

static const struct db_statement read_list = {
    "drill_list", "select o.account_id, o.id, case when o.back_at is null then b.ends_at end"
                  "  from outage o join absence b on b.cell = o.cell and b.outage_id = o.id"
                  " where o.account_id is not null and o.ended_at is null order by o.account_id"};

static int compare(const void *a, const void *b)
{
    const struct known *x = a, *y = b;

    return (x->account_id > y->account_id) - (x->account_id < y->account_id);
}

AWAITS enum db_status drill_read(struct arena *arena)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    if (db_read(arena, &read_list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    free(list);
    count_known = rows_count(rows);
    list = calloc(count_known + 1, sizeof *list);
    if (!list)
        abort();
    for (unsigned i = 0; i < count_known; i++)
        list[i] = (struct known){row_int64(rows, i, 0), row_int64(rows, i, 1), row_time(rows, i, 2)};
    qsort(list, count_known, sizeof *list, compare);
    return DB_FOUND;
}

static const struct known *find(int64_t account_id)
{
    const struct known key = {.account_id = account_id};

    return count_known ? bsearch(&key, list, count_known, sizeof *list, compare) : NULL;
}

int64_t drill_outage(int64_t account_id)
{
    const struct known *known = find(account_id);

    return known ? known->outage_id : 0;
}

struct slice drill_reason(struct arena *arena, int64_t outage_id)
{
    char id[ID_TEXT_SIZE];

    return slice_str(arena_printf(arena, "drill %s", id_print(outage_id, id)));
}

static void apply(const struct known *known, int64_t now, struct accept_recipient *r)
{
    int64_t longer = known->until_ms - now;

    r->waiting = true;
    if (known->until_ms <= now)
        return;
    r->hold = (struct hold){
        .until_ms = known->until_ms,
        .by = HOLD_BY_DRILL,
        .then = HOLD_THEN_RELEASE,
    };
    r->drill_id = known->outage_id;
    r->expires_ms += longer;
    r->delay_ms += r->delay_ms ? longer : 0;
}

void drill_apply(struct arena *arena, struct accept_message *const *messages, unsigned count)
{
    int64_t now = clock_now_ms();

    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < messages[i]->recipient_count; j++) {
            struct accept_recipient *r = &messages[i]->recipients[j];
            const struct known *known =
                r->queue && r->domain_id && r->account_id && !r->waiting ? find(r->account_id) : NULL;

            if (known)
                apply(known, now, r);
            if (r->drill_id) /* a batch that was refused comes again, with another arena */
                r->hold.reason = drill_reason(arena, r->drill_id);
        }
}
