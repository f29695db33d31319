/*
 * breaker: two tasks of each worker.
 *
 *     every BREAKER_WATCH_MS   what accounts have sent is written, read and judged (relay/breaker_watch.h)
 *     every CHORE_MS           breakers whose time is over are closed; of open ones of this worker's cells the owner is
 *                              told, and what they have waiting is held (storage/breaker_work.c); what is held for the
 *                              account that sent it is grouped (daemon/breaker_groups.c)
 *
 * Nobody's message waits for either: what is held is held by what workers have in memory.
 */
#include "daemon/breaker.h"

#define LOG_MODULE "breaker"
#include "core/log.h"
#include "daemon/breaker_groups.h"
#include "daemon/breaker_notice.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "relay/breaker_watch.h"
#include "storage/db.h"
#include "storage/node.h"

#define CHORE_MS 1000
#define FORGET_LOOKS 3600 /* once an hour */
#define FAILING_TICKS 4   /* failures come slowly */

static struct task_pool *pool;

static AWAITS void watch_for_ever(void *unused)
{
    int16_t cells[ID_CELLS];

    (void)unused;
    for (unsigned tick = 0; !runner_draining(); tick++) {
        if (db_ready() && node_alive())
            breaker_watch_flush(cells, tick % FAILING_TICKS ? 0 : runner_cells(cells));
        task_sleep(BREAKER_WATCH_MS);
    }
}

/* ------------------------------------------------------------------ chores */

static AWAITS void hold_waiting(const struct breaker_work *work)
{
    unsigned held = 0;
    int64_t after = 0;

    do {
        if (!node_alive() || breaker_hold_waiting(work, &after, &held) != DB_DONE)
            return;
    } while (after);
    if (held)
        log_info("what an account has waiting is held", log_id("account", work->account_id), log_int("count", held));
}

static AWAITS void chores(struct arena *arena)
{
    static unsigned looks;
    int16_t *cells = arena_array(arena, ID_CELLS, sizeof *cells);
    unsigned cell_count = runner_cells(cells), closed = 0, count = 0;
    struct breaker_work *list = NULL;

    if (!cell_count)
        return;
    if (breaker_close_over(&closed) == DB_DONE && closed)
        log_info("what accounts send is not held any more, as their time is over", log_int("count", closed));
    if (breaker_work_list(arena, cells, cell_count, &list, &count) != DB_FOUND)
        count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (list[i].look)
            hold_waiting(&list[i]);
        if (!list[i].told && !breaker_notice(&list[i]) && !db_ready())
            break; /* one that cannot be told keeps no other from being so */
    }
    breaker_groups();
    if (++looks % FORGET_LOOKS == 0 && breaker_country_forget(cells, cell_count) != DB_DONE)
        log_debug("countries that were not seen for long stay for now");
}

static AWAITS void chores_for_ever(void *unused)
{
    (void)unused;
    while (!runner_draining()) {
        struct arena *arena = arena_new(SIZE_MAX);

        if (db_ready() && node_alive())
            chores(arena);
        arena_free(&arena);
        task_sleep(CHORE_MS);
    }
}

void breaker_init(void)
{
    pool = task_pool_new("breaker", 2, 0);
    if (!task_start(pool, watch_for_ever, NULL) || !task_start(pool, chores_for_ever, NULL))
        log_fatal(1, "no stack for the breaker");
}
