/*
 * succession: one note per slot, in an anonymous shared mapping made before the first fork.
 *
 * A slot has one process at a time, and the master gives it to the next only after waitpid() (daemon/master.c): so a
 * note that a process finds in its slot is that of a process which is dead.  No locks for that reason.
 */
#include "daemon/succession.h"

#include <sys/mman.h>

#include "core/log.h"
#include "daemon/stats.h"

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
