/*
 * runner_file: one batch for mailboxes here: what had been held comes to its end.
 *
 * There is no connection and nothing is sent: the message goes into each INBOX and its entry ends in one transaction
 * (storage/file.h), so it is filed once, whatever breaks.  Nothing is reported afterwards; only what could not be
 * filed goes back by runner_report.c.
 *
 * A sender who asked to hear of success (RFC 3461 5.2.3) is told in the same transaction; what was filed with his
 * notice is passed over by the second.
 *
 * An account that went meanwhile, or takes no mail any more, is found by the transaction itself.  The batch is then
 * done one by one, and the sender hears of the guilty.
 */
#include <string.h>

#define LOG_MODULE "delivery"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_away.h"
#include "daemon/runner_bounce.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_report.h"
#include "storage/file.h"

#define OURS_RETRY_MS 5000

static void later(struct runner_entry **entries, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        runner_finish(entries[i], QUEUE_DEFERRED, SLICE("it could not be filed"), clock_now_ms() + OURS_RETRY_MS);
}

static void filed(struct runner_entry *entry)
{
    log_info("filed", log_id("message", entry->message->id), log_slice("recipient", entry->recipient));
    runner_count.delivered++;
    runner_entry_free(entry);
}

/* Those who asked for it; the others are not touched.  False: try again later. */
static AWAITS bool tell(struct arena *arena, struct runner_entry **entries, unsigned count)
{
    struct runner_entry **asked = arena_array(arena, count, sizeof *asked);
    struct dsn_recipient *reasons = arena_array(arena, count, sizeof *reasons);
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++)
        if (notice_wanted(entries[i]->message->sender, &entries[i]->envelope, DSN_DELIVERED)) {
            reasons[n] = (struct dsn_recipient){.address = entries[i]->recipient, .status = SLICE("2.1.5")};
            asked[n++] = entries[i];
        }
    return !n || runner_tell(DSN_DELIVERED, asked, reasons, n);
}

static AWAITS void file(struct arena *arena, struct runner_entry **entries, unsigned count)
{
    int64_t *ids = arena_array(arena, count, sizeof *ids);
    enum db_write written = DB_UNDONE;

    for (unsigned i = 0; i < count; i++)
        ids[i] = entries[i]->id;
    if (tell(arena, entries, count))
        written = file_entries(ids, count);
    switch (written) {
    case DB_DONE:
        for (unsigned i = 0; i < count; i++)
            filed(entries[i]);
        return;
    case DB_REFUSED:
        if (count == 1)
            runner_bounce_all(arena, entries, 1, SLICE("5.2.1"),
                              SLICE("the mailbox is gone, or takes no mail any more"));
        else
            for (unsigned i = 0; i < count; i++)
                file(arena, &entries[i], 1);
        return;
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN: break;
    }
    later(entries, count);
}

void runner_file(struct runner_lane *lane, struct runner_batch *batch)
{
    struct runner_entry *entries[RUNNER_BATCH_MAX];
    unsigned count = batch->count, cell = id_cell(batch->entries[0]->id);

    memcpy(entries, batch->entries, count * sizeof *entries);
    batch->finishing = true; /* an orderly stop waits for it */
    file(lane->arena, entries, count);
    batch->count = 0;
    batch->finishing = false;
    runner_mark_good(lane->destination, cell, true);
}
