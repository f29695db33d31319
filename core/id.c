/*
 * id: 64-bit identifiers (layout in id.h).
 *
 * The clock of a machine may step back; ids must not repeat.  So each cell remembers the last
 * (millisecond, sequence) it gave out and never goes below: a burst of more than 16 ids in one
 * millisecond, or a clock that was set back, counts on from there.  Only a process that restarts with a
 * clock set back *and* gets the same worker number could repeat an id; the worker lease (storage/node)
 * keeps the number from being used again for 30 s, and the primary keys refuse what is left.
 *
 * The sign bit stays clear: PostgreSQL's bigint is signed.
 */
#include "core/id.h"

#include <stddef.h>

#include "core/clock.h"

#define ID_EPOCH_MS INT64_C(1704067200000) /* 2024-01-01T00:00:00Z */
#define ID_MS_MASK ((INT64_C(1) << 41) - 1)

static const char letters[] = "0123456789abcdefghjkmnpqrstvwxyz";

static unsigned worker_number;
static uint64_t last_tick[ID_CELLS]; /* milliseconds << 4 | sequence */

void id_set_worker(unsigned worker)
{
    worker_number = worker % ID_WORKERS;
}

unsigned id_worker(void)
{
    return worker_number;
}

int64_t id_make(unsigned cell)
{
    uint64_t tick = (uint64_t)(clock_now_ms() - ID_EPOCH_MS) << 4;

    cell %= ID_CELLS;
    if (tick <= last_tick[cell])
        tick = last_tick[cell] + 1;
    last_tick[cell] = tick;
    return (int64_t)(((tick >> 4) & (uint64_t)ID_MS_MASK) << 22 | (uint64_t)cell << 14 | (uint64_t)worker_number << 4 |
                     (tick & 15));
}

unsigned id_cell(int64_t id)
{
    return (unsigned)((uint64_t)id >> 14 & 255);
}

int64_t id_at(int64_t ms)
{
    return (ms - id_ms(0)) << 22;
}

int64_t id_ms(int64_t id)
{
    return (int64_t)((uint64_t)id >> 22) + ID_EPOCH_MS;
}

/* 13 letters are 65 bits: the first carries only four. */
char *id_print(int64_t id, char out[ID_TEXT_SIZE])
{
    uint64_t rest = (uint64_t)id;

    for (int i = ID_TEXT_SIZE - 2; i >= 0; i--) {
        out[i] = letters[rest & 31];
        rest >>= 5;
    }
    out[ID_TEXT_SIZE - 1] = '\0';
    return out;
}

bool id_parse(struct slice text, int64_t *id)
{
    uint64_t value = 0;

    if (text.n != ID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        const char *found;

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        found = c ? strchr(letters, c) : NULL;
        if (!found || (i == 0 && found - letters > 7))
            return false; /* more than 63 bits */
        value = value << 5 | (uint64_t)(found - letters);
    }
    *id = (int64_t)value;
    return true;
}
