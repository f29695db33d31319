/*
 * succession: one note per slot, in an anonymous shared mapping made before the first fork.
 *
 * A slot has one process at a time, and the master gives it to the next only after waitpid() (daemon/master.c): so a
 * note that a process finds in its slot is that of a process which is dead.  No locks for that reason.
 */
#include "daemon/succession.h"

#include <sys/mman.h>

#define LOG_MODULE "worker"
#include "core/log.h"
#include "daemon/stats.h"
#include "daemon/testament.h"
#include "storage/queue.h"

static struct node_identity *notes;

void succession_init(void)
{
    notes = mmap(NULL, STATS_SLOTS * sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (notes == MAP_FAILED)
        log_fatal(1, "cannot map shared memory");
}

void succession_note(unsigned slot, struct node_identity identity)
{
    notes[slot % STATS_SLOTS] = identity;
}

bool succession_of(unsigned slot, struct node_identity *dead)
{
    *dead = notes[slot % STATS_SLOTS];
    return dead->started_ms != 0;
}

bool succession_record(void)
{
    struct arena *arena = arena_new(SIZE_MAX);
    int64_t *entry_ids;
    struct slice *replies;
    unsigned count = testament_read(arena, &entry_ids, &replies), recorded = 0, taken = 0, doubtful = 0;
    int64_t *doubts = arena_array(arena, count + 1, sizeof *doubts);
    bool done;

    for (unsigned i = 0; i < count; i++)
        if (replies[i].p) {
            entry_ids[taken] = entry_ids[i];
            replies[taken++] = replies[i];
        } else {
            doubts[doubtful++] = entry_ids[i];
        }
    done = (!taken || queue_inherit(entry_ids, replies, taken, &recorded) == DB_DONE) &&
           (!doubtful || queue_doubt(doubts, doubtful) == DB_DONE);
    arena_free(&arena);
    if (done)
        testament_clear();
    if (recorded)
        log_info("recorded what a dead worker had delivered", log_int("entries", recorded));
    return done;
}
