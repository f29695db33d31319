/*
 * held_folders: one task that keeps the folders Held and Quarantine as the holds are (storage/held_folder.h).
 *
 * Each look takes what was accepted a moment ago, a page of all that is held, and a page of all that is shown, in the
 * cells of this worker.  So a message is shown within about a second of its 250, one that an administrator holds when
 * the walk comes to it, and one whose hold is over goes when the other walk comes to it: with fewer than 2,000 held and
 * 5,000 shown both are each second.  Where nothing is held a look is two probes of an empty index.
 */
#include "daemon/held_folders.h"

#define LOG_MODULE "queue"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/task.h"
#include "storage/db.h"
#include "storage/held_folder.h"
#include "storage/node.h"

#define LOOK_MS 700
#define NEW_MS 15000
#define DROP_LOOKS 60 /* a look at folders that are not wanted any more */

static unsigned my_cells(int16_t cells[])
{
    unsigned count;
    const int16_t *mine = node_cells(&count);

    for (unsigned i = 0; i < count; i++)
        cells[i] = mine[i];
    return count;
}

/* False: the database is away. */
static AWAITS bool look(struct held_folder_walk *walk, bool drop)
{
    int16_t cells[ID_CELLS];
    unsigned cell_count = my_cells(cells), fresh = 0, shown = 0, gone = 0;

    if (!cell_count)
        return true;
    if (held_folder_show_new(cells, cell_count, clock_now_ms() - NEW_MS, &fresh) != DB_DONE ||
        held_folder_show(cells, cell_count, walk, &shown) != DB_DONE ||
        held_folder_clean(cells, cell_count, walk, &gone) != DB_DONE)
        return false;
    if (fresh + shown + gone)
        log_debug("held mail is shown", log_int("more", fresh + shown), log_int("less", gone));
    return !drop || held_folder_drop(cells, cell_count) == DB_DONE;
}

AWAITS void held_folders_for_ever(void *unused)
{
    struct held_folder_walk walk = {0};
    unsigned looks = 0;

    (void)unused;
    for (;;) {
        if (db_ready() && node_alive() && !look(&walk, ++looks % DROP_LOOKS == 0))
            log_debug("folders of held mail stay as they are");
        task_sleep(LOOK_MS);
    }
}
