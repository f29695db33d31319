/*
 * runner_size: what a next hop says at EHLO that it takes (SIZE) is noted, so that the door can refuse what is too
 * large (relay/next_size.h), instead of taking it and returning it.
 *
 * Only a limit below our own says anything; it is written when it is another one than this worker noted last, and
 * again after half the time that it is remembered.  A host without one, or with a larger one, takes back what was
 * noted.  It costs one small transaction for such a connection, and a look-up for the first one to any other
 * destination; losing it does no harm.
 */
#define LOG_MODULE "runner"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "storage/hop_size.h"

/* Of a destination that this worker has just come to know: has anybody noted a limit, that is gone? */
static AWAITS bool is_noted(struct arena *arena, const struct runner_destination *d)
{
    struct slice key = slice_str(d->key);
    uint64_t limit;

    return hop_size_find(arena, &key, 1, &limit) == DB_FOUND && limit;
}

void runner_size_learn(struct arena *arena, struct runner_destination *d, const struct smtp_client *client)
{
    uint64_t said = smtp_client_size_max(client), now = clock_steady_ms();
    uint64_t most = said < runner_settings()->message_size_max ? said : 0;
    bool asked = d->route.kind != ROUTE_MAILBOX && d->route.kind != ROUTE_TO; /* by the door */
    bool again = most && now >= d->size_noted_at + HOP_SIZE_LIFETIME_MS / 2, first = !d->size_noted_at;

    if (!asked || (most == d->size_max && !again && !first))
        return;
    d->size_max = most;
    d->size_noted_at = now;
    if (first && !most && !is_noted(arena, d))
        return;
    if (hop_size_put(arena, slice_str(d->key), most) != DB_DONE)
        log_info("a next hop's limit could not be noted", log_str("destination", d->key),
                 log_int("size", (int64_t)most));
}
