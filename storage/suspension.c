/*
 * suspension: the list in memory.
 *
 * It is short, asked for each message that goes, and changed seldom: all of it is kept, sorted by kind and value, and
 * looked for by bisection.  When it is read: storage/known.c.  That it is over at a time each worker knows by itself.
 */
#include "storage/suspension.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "storage/db.h"
#include "storage/name.h"

static struct arena *memory;
static struct suspension *list;
static unsigned count;

static const char *const words[] = {"destination", "sender", "customer"};

const char *suspension_kind_word(enum suspension_kind kind)
{
    return words[kind];
}

bool suspension_kind_parse(struct slice word, enum suspension_kind *out)
{
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal(word, slice_str(words[i]))) {
            *out = (enum suspension_kind)i;
            return true;
        }
    return false;
}

/* ------------------------------------------------------------------ asking */

static int compare(const void *a, const void *b)
{
    const struct suspension *x = a, *y = b;
    size_t n = x->value.n < y->value.n ? x->value.n : y->value.n;
    int order = x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : n ? memcmp(x->value.p, y->value.p, n) : 0;

    return order ? order : (x->value.n > y->value.n) - (x->value.n < y->value.n);
}

static const struct suspension *find(enum suspension_kind kind, struct slice value)
{
    const struct suspension key = {.kind = kind, .value = value};
    const struct suspension *found = bsearch(&key, list, count, sizeof *list, compare);

    return found && (found->expires_ms == INT64_MIN || clock_now_ms() < found->expires_ms) ? found : NULL;
}

bool suspension_covers(struct arena *arena, struct slice sender, int64_t customer_id, struct slice destination,
                       struct slice recipient, struct suspension *out)
{
    const struct suspension *found;

    if (!count)
        return false;
    found = find(SUSPENSION_DESTINATION, destination);
    if (!found)
        found = find(SUSPENSION_DESTINATION, arena_lower(arena, name_address_domain(recipient)));
    if (!found)
        found = find(SUSPENSION_SENDER, name_key(arena, sender));
    if (!found)
        found = find(SUSPENSION_CUSTOMER, slice_str(arena_printf(arena, "%lld", (long long)customer_id)));
    if (!found)
        return false;
    *out = *found;
    out->value = arena_slice(arena, found->value);
    out->reason = arena_slice(arena, found->reason);
    return true;
}

/* ------------------------------------------------------------------ knowing */

static const struct db_statement read_list = {
    "suspension_list",
    "select id, kind, value, reason, expires_at, created_at from suspension"
    " where ended_at is null and (expires_at is null or expires_at > now()) order by id limit $1::integer",
};

AWAITS enum db_status suspension_read(struct arena *arena)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int32(&params, 2 * SUSPENSION_MAX);
    if (db_read(arena, &read_list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    arena_free(&memory);
    memory = arena_new(SIZE_MAX);
    list = arena_array(memory, rows_count(rows) + 1, sizeof *list);
    count = 0;
    for (unsigned i = 0; i < rows_count(rows); i++) {
        struct suspension *s = &list[count];

        *s = (struct suspension){
            .id = row_int64(rows, i, 0),
            .value = arena_slice(memory, row_text(rows, i, 2)),
            .reason = arena_slice(memory, row_text(rows, i, 3)),
            .expires_ms = row_time(rows, i, 4),
            .created_ms = row_time(rows, i, 5),
        };
        count += suspension_kind_parse(row_text(rows, i, 1), &s->kind);
    }
    qsort(list, count, sizeof *list, compare);
    return DB_FOUND;
}
