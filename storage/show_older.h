#ifndef STORAGE_SHOW_OLDER_H
#define STORAGE_SHOW_OLDER_H
/*
 * show_older: what waits for certain readers is put into their INBOXes, before something newer is.  Inside storage only.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"
#include "storage/status.h"

/* Mail of one domain for one account. */
struct show_reader {
    int64_t account_id, domain_id;
    bool young; /* out: the account was made within the last minute, so that its mail may not all be known yet */
};

/*
 * Shows what waits for them, oldest first, and how much of it is bounded: of each reader SHOW_OLDER_EACH entries, of all
 * together SHOW_OLDER_ALL; there may be more then.  Readers may be repeated, and be of more than one cell.
 * *shown: how many.  Not DB_DONE: some of it may not be shown.
 */
#define SHOW_OLDER_EACH 1000
#define SHOW_OLDER_ALL 2000
AWAITS enum db_write show_older(struct arena *arena, struct show_reader *readers, unsigned count, unsigned *shown)
    __attribute__((warn_unused_result));

#endif
