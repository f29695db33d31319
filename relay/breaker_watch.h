#ifndef RELAY_BREAKER_WATCH_H
#define RELAY_BREAKER_WATCH_H
/*
 * breaker_watch: what accounts send by this worker, in its memory, and together with what they send by others.
 *
 * Each message is counted here, and judged with what all nodes knew a moment ago; some times a second the counts are
 * written and the others' read.  So an account may be over its limit by what it sends in that moment by other workers,
 * and by a tenth of the policy's least number in its first messages after a pause.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/task.h"
#include "storage/breaker.h"
#include "storage/directory.h"

#define BREAKER_WATCH_MS 250

/*
 * One more message of the account, from the address peer to so many recipients, before it is accepted.  True: with it
 * the account's sending seems to have left its pattern, or too little is known of it, and breaker_watch_open() is to be
 * asked.  Does not wait.
 */
bool breaker_watch_message(const struct directory_account *account, unsigned recipients, const char *peer);
/* It was not accepted. */
void breaker_watch_take_back(const struct directory_account *account, unsigned recipients);

/*
 * Judges by what all nodes know now, and opens; this worker knows it when it returns.  DONE also if it was open
 * already, and if it is not to be opened: held_account_find() tells.
 */
AWAITS enum db_write breaker_watch_open(const struct directory_account *account) __attribute__((warn_unused_result));

/* Writes, reads and judges what was counted, and failures of accounts of these cells (none: cell_count 0). */
AWAITS void breaker_watch_flush(const int16_t *cells, unsigned cell_count);

uint64_t breaker_watch_opened(void); /* by this process, so far */

#endif
