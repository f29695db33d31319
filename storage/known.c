/*
 * known: what a process has in memory of the directory.
 *
 * It is read anew when the number of the directory's changes is another one (storage/cache.c tells why that is
 * certain), which is asked every REFRESH_MS.  The number is asked before what it stands for, so a change in between is
 * read twice rather than not at all. While the database is away all stays as it was: clients that are known to be good
 * are good then, too.
 */
#include "storage/known.h"

#include <unistd.h>

#define LOG_MODULE "known"
#include "core/arena.h"
#include "core/log.h"
#include "storage/allow.h"
#include "storage/breaker_policy.h"
#include "storage/client_policy.h"
#include "storage/content_rule.h"
#include "storage/db.h"
#include "storage/delivery_policy.h"
#include "storage/dns_list.h"
#include "storage/drill.h"
#include "storage/held_account.h"
#include "storage/srs_key.h"
#include "storage/suspension.h"

#define REFRESH_MS 700

static const struct db_statement changes = {"known_changes", "select sum(number)::bigint from directory_change"};

static AWAITS enum db_status refresh(struct arena *arena)
{
    static bool known;
    static int64_t number;
    struct params params;
    struct rows *rows = NULL;
    int64_t now;

    params_init(&params, arena);
    if (db_read(arena, &changes, &params, &rows) != DB_FOUND)
        return DB_FAILED;
    now = row_int64(rows, 0, 0);
    if (known && now == number)
        return DB_FOUND;
    if (allow_read(arena) == DB_FAILED || dns_list_read(arena) == DB_FAILED || client_policy_read(arena) == DB_FAILED ||
        suspension_read(arena) == DB_FAILED || delivery_policy_read(arena) == DB_FAILED ||
        srs_key_read(arena) == DB_FAILED || held_account_read(arena) == DB_FAILED ||
        content_rule_read(arena) == DB_FAILED || breaker_policy_read(arena) == DB_FAILED ||
        drill_read(arena) == DB_FAILED)
        return DB_FAILED;
    known = true;
    number = now;
    log_debug("read anew", log_int("changes", now), log_int("pid", getpid()));
    return DB_FOUND;
}

AWAITS enum db_status known_refresh(void)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_status status = refresh(arena);

    arena_free(&arena);
    return status;
}

AWAITS void known_refresh_for_ever(void *unused)
{
    (void)unused;
    for (;;) {
        if (db_ready() && known_refresh() == DB_FAILED)
            log_debug("all stays as it was known");
        task_sleep(REFRESH_MS);
    }
}
