/*
 * testament: notes of deliveries, and of what is in doubt, in an anonymous shared mapping, one for each slot that a worker ever had.
 *
 * Between a next hop's 250 and the commit that records it lie a few milliseconds, or as long as the database is away.
 * A worker that is killed there would have its mail delivered twice.  A note costs a copy of some bytes, no system
 * call, and is there as soon as it is written: only a kill between the end of the content and the reading of the reply is left
 * (RFC 1047 tells why nobody can close that one), and of that there is a note, too, so that it can be told.
 *
 * The id, and that it was taken, are written last, and the id cleared first, with release order, so that a note is whole or absent whenever the process
 * is killed.  A slot has one process at a time, and its successor is forked after waitpid(), so nobody reads while
 * another writes.
 *
 * Places are given out last in, first out: a quiet worker touches one page.  The list of free places is the process's
 * own; a new one makes it anew when it has read what it found.
 *
 * Rejected: a file, which must be flushed to be worth more; asking the next hop, which no protocol has.
 */
#include "daemon/testament.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LOG_MODULE "master"
#include "core/log.h"
#include "daemon/stats.h"

#define PLACES 10000 /* what a worker has in memory at most (daemon/runner_memory.c) */
#define REPLY_BYTES 118

struct note {
    int64_t entry_id; /* 0: none */
    uint8_t taken;    /* else nobody knows */
    uint8_t length;
    char reply[REPLY_BYTES];
};
static struct note *notes[STATS_SLOTS];
static struct note *ours; /* NULL: no worker, or a test */
static unsigned *free_places, free_count;

void testament_prepare(unsigned slot)
{
    void *memory;

    if (notes[slot % STATS_SLOTS])
        return;
    memory = mmap(NULL, PLACES * sizeof(struct note), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        log_warn("no shared memory: what a worker delivers while it is killed may be delivered again");
    else
        notes[slot % STATS_SLOTS] = memory;
}

static void free_all_places(void)
{
    for (free_count = 0; free_count < PLACES; free_count++)
        free_places[free_count] = PLACES - free_count;
}

void testament_open(unsigned slot)
{
    ours = notes[slot % STATS_SLOTS];
    if (!ours)
        return;
    free_places = malloc(PLACES * sizeof *free_places);
    if (!free_places)
        abort();
    free_all_places();
}

unsigned testament_read(struct arena *arena, int64_t **entry_ids, struct slice **replies)
{
    unsigned count = 0;

    *entry_ids = arena_array(arena, ours ? PLACES : 1, sizeof **entry_ids);
    *replies = arena_array(arena, ours ? PLACES : 1, sizeof **replies);
    for (unsigned i = 0; ours && i < PLACES; i++)
        if (ours[i].entry_id) {
            (*entry_ids)[count] = ours[i].entry_id;
            (*replies)[count++] = ours[i].taken ? slice_of(ours[i].reply, ours[i].length) : slice_of(NULL, 0);
        }
    return count;
}

void testament_clear(void)
{
    for (unsigned i = 0; ours && i < PLACES; i++)
        if (ours[i].entry_id) /* a page that was never written stays unused */
            __atomic_store_n(&ours[i].entry_id, 0, __ATOMIC_RELEASE);
}

unsigned testament_begin(int64_t entry_id)
{
    struct note *note;

    if (!free_count)
        return 0;
    note = &ours[free_places[--free_count] - 1];
    note->taken = 0;
    __atomic_store_n(&note->entry_id, entry_id, __ATOMIC_RELEASE);
    return (unsigned)(note - ours) + 1;
}

unsigned testament_add(unsigned place, int64_t entry_id, struct slice reply)
{
    struct note *note;

    if (!place && !(place = testament_begin(entry_id)))
        return 0;
    note = &ours[place - 1];
    note->length = (uint8_t)(reply.n < REPLY_BYTES ? reply.n : REPLY_BYTES);
    if (note->length)
        memcpy(note->reply, reply.p, note->length);
    __atomic_store_n(&note->taken, 1, __ATOMIC_RELEASE);
    return place;
}

void testament_remove(unsigned place)
{
    if (!place)
        return;
    __atomic_store_n(&ours[place - 1].entry_id, 0, __ATOMIC_RELEASE);
    free_places[free_count++] = place;
}
