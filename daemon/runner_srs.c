/*
 * runner_srs: as whom a message is sent: what an alias here forwards goes out under an address of the alias's domain
 * (relay/srs_way.h).
 *
 * Its own sender stays the message's: reports of ours are for him, and the queue shows him.  What one alias forwards
 * and what went to others, or was forwarded by another domain, go in transactions of their own.
 *
 * A sender that cannot be carried goes as he is: a next hop may refuse it then, and he hears of that from us.
 */
#define LOG_MODULE "delivery"
#include "core/log.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "relay/srs_way.h"

bool runner_same_sender(const struct runner_entry *a, const struct runner_entry *b)
{
    return slice_equal(a->envelope.forwarded_by, b->envelope.forwarded_by);
}

bool runner_sender(struct arena *arena, const struct runner_batch *batch, struct slice *out)
{
    const struct runner_message *m = batch->message;
    struct slice domain = batch->entries[0]->envelope.forwarded_by;
    enum srs_written written;

    *out = m->sender;
    if (!domain.n)
        return true;
    if (!srs_way_sender(arena, m->sender, domain, out, &written))
        return false;
    if (written == SRS_WRITTEN)
        log_info("sender rewritten", log_id("message", m->id), log_slice("sender", m->sender), log_slice("as", *out));
    else
        log_info("sender not rewritten", log_id("message", m->id), log_slice("sender", m->sender),
                 log_str("why", written == SRS_TOO_LONG ? "too long" : "not possible, or turned off"));
    return true;
}
