/*
 * breaker_groups: what is held for the account that sent it is put into groups of what is alike.
 *
 * A moment after it was accepted and not before 250, since nothing is decided by it: the content is read again, its
 * beginning (one chunk at most), and its hash says to which group it belongs (protocols/similar.h,
 * storage/similar.h).  So mail that was waiting when it was held is grouped, too, and mail that is not held costs
 * nothing.
 *
 * A message whose content cannot be had any more is alike to others of which nothing is known.
 */
#include "daemon/breaker_groups.h"

#define LOG_MODULE "breaker"
#include "core/log.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "protocols/similar.h"
#include "storage/body.h"
#include "storage/node.h"
#include "storage/similar.h"

#define AT_ONCE 50
#define CLEAN_LOOKS 300

/* False: the database is away. */
static AWAITS bool group_one(const struct similar_message *message)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct similar similar = {0};
    struct slice bytes;
    enum db_write written = DB_UNDONE;

    switch (body_read(arena, message->message_id, 0, &bytes)) {
    case DB_FOUND: similar_of(arena, bytes, &similar); /* fall through */
    case DB_NONE: written = similar_put(message, similar.hash, similar.subject); break;
    case DB_FAILED: break;
    }
    arena_free(&arena);
    return written == DB_DONE;
}

static AWAITS bool group_some(const int16_t *cells, unsigned cell_count, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct similar_message *list = NULL;
    unsigned done = 0;

    if (similar_ungrouped(arena, cells, cell_count, AT_ONCE, &list, count) == DB_FAILED)
        *count = 0;
    while (done < *count && node_alive() && group_one(&list[done]))
        done++;
    arena_free(&arena);
    return done == *count;
}

AWAITS void breaker_groups(void)
{
    static unsigned looks;
    int16_t cells[ID_CELLS];
    unsigned cell_count = runner_cells(cells), count = AT_ONCE;

    if (!cell_count)
        return;
    while (count && !runner_draining())
        if (!group_some(cells, cell_count, &count)) {
            log_debug("held messages are not grouped yet");
            return;
        }
    if (++looks % CLEAN_LOOKS == 0 && similar_clean(cells, cell_count) != DB_DONE)
        log_debug("groups of which nothing is held stay for now");
}
