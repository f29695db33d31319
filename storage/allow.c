/*
 * allow: the allow-list in memory.
 *
 * The list is small, asked on the loop, and changed seldom, so all of it is kept: sorted by length of prefix, and
 * within a length by address.  An address is looked for once in each length that there is, by bisection.  When it is
 * read: storage/known.c.
 */
#include "storage/allow.h"

#include <stdlib.h>
#include <string.h>

#include "core/cidr.h"
#include "core/clock.h"
#include "storage/db.h"

#define LENGTHS_MAX (33 + 129)

struct entry {
    struct cidr block;
    int64_t customer_id, until_ms; /* 0: all; INT64_MIN: never over */
};

static struct entry *entries;
static unsigned count;
static unsigned lengths[LENGTHS_MAX]; /* where each begins */
static unsigned length_count;

/* ------------------------------------------------------------------ asking */

static int compare_blocks(const struct cidr *a, const struct cidr *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    if (a->bits != b->bits)
        return a->bits < b->bits ? -1 : 1;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

static int compare(const void *a, const void *b)
{
    return compare_blocks(&((const struct entry *)a)->block, &((const struct entry *)b)->block);
}

static struct cidr block_of(const struct cidr *address, unsigned bits)
{
    struct cidr block = {.family = address->family, .bits = bits};

    memcpy(block.bytes, address->bytes, bits / 8);
    if (bits % 8)
        block.bytes[bits / 8] = address->bytes[bits / 8] & (unsigned char)(0xff << (8 - bits % 8));
    return block;
}

/* The first that is not before it. */
static unsigned position(const struct cidr *block)
{
    unsigned low = 0, high = count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (compare_blocks(&entries[middle].block, block) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool allow_covers(const char *client, int64_t customer_id)
{
    char text[INET6_ADDRSTRLEN];
    struct cidr address;
    int64_t now = clock_now_ms();

    if (!count || !client || !cidr_plain_address(client, text) || !cidr_parse(text, &address))
        return false;
    for (unsigned i = 0; i < length_count; i++) {
        const struct cidr *first = &entries[lengths[i]].block;
        struct cidr block;

        if (first->family != address.family)
            continue;
        block = block_of(&address, first->bits);
        for (unsigned at = position(&block); at < count && compare_blocks(&entries[at].block, &block) == 0; at++)
            if ((!entries[at].customer_id || entries[at].customer_id == customer_id) &&
                (entries[at].until_ms == INT64_MIN || now < entries[at].until_ms))
                return true;
    }
    return false;
}

/* ------------------------------------------------------------------ knowing */

static const struct db_statement list = {
    "allow_list",
    "select network::text, coalesce(customer_id, 0), valid_until from allowed_network"
    " where valid_until is null or valid_until > now() order by id limit $1::integer",
};

static void remember(struct arena *arena, const struct rows *rows)
{
    unsigned n = rows_count(rows);
    struct entry *fresh = calloc(n + 1, sizeof *fresh);

    if (!fresh)
        abort();
    free(entries);
    entries = fresh;
    count = length_count = 0;
    for (unsigned i = 0; i < n; i++) {
        struct entry *entry = &entries[count];

        if (!cidr_parse(arena_slicedup(arena, row_text(rows, i, 0)), &entry->block))
            continue;
        entry->customer_id = row_int64(rows, i, 1);
        entry->until_ms = row_time(rows, i, 2);
        count++;
    }
    qsort(entries, count, sizeof *entries, compare);
    for (unsigned i = 0; i < count; i++)
        if (i == 0 || entries[i].block.family != entries[i - 1].block.family ||
            entries[i].block.bits != entries[i - 1].block.bits)
            lengths[length_count++] = i;
}

AWAITS enum db_status allow_read(struct arena *arena)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int32(&params, ALLOW_MAX);
    if (db_read(arena, &list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    remember(arena, rows);
    return DB_FOUND;
}
