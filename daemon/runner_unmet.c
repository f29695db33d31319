/*
 * runner_unmet: a destination none of whose hosts may have the mail, as it wants to be protected.
 *
 * Such mail is put off recipient by recipient (runner_delivery.c), since other mail at the destination may go: with
 * another policy, or with "TLS-Required: No".  So nothing is said about the destination, and each message would connect to
 * the same hosts to find the same lack.  What one has found out is remembered here for all that want the same, as long as
 * a first retry takes, UNMET_MAX_MS at most: within that a thousand messages cost one connection to each host.
 *
 * Not remembered: what was found without a connection (it costs none), and REQUIRETLS, where each message is returned for
 * what the hosts lack and has a right to be asked about.
 */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "daemon/runner_hop.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_protect.h"

#define UNMET_MAX_MS 60000

struct runner_unmet {
    enum runner_protection protection;
    uint64_t since, until;
    struct arena *arena; /* of the words */
    struct slice why, status;
    struct runner_secured secured;
    struct runner_remote remote;
};

void runner_unmet_forget(struct runner_destination *destination)
{
    if (destination->unmet)
        arena_free(&destination->unmet->arena);
    free(destination->unmet);
    destination->unmet = NULL;
}

void runner_unmet_note(struct runner_destination *destination, const struct runner_walk *walk, uint64_t retry_first_ms)
{
    struct runner_unmet *unmet;
    struct arena *arena;

    if (!walk->secured.verified || walk->protection == RUNNER_PROTECTION_REQUIRETLS)
        return;
    runner_unmet_forget(destination);
    if (!(unmet = calloc(1, sizeof *unmet)))
        abort();
    arena = arena_new(SIZE_MAX);
    *unmet = (struct runner_unmet){
        .protection = walk->protection,
        .since = clock_steady_ms(),
        .arena = arena,
        .why = arena_slice(arena, walk->why),
        .status = arena_slice(arena, walk->status),
        .secured = walk->secured,
        .remote = {walk->remote.host ? arena_strdup(arena, walk->remote.host) : NULL,
                   walk->remote.address ? arena_strdup(arena, walk->remote.address) : NULL},
    };
    unmet->until = unmet->since + (retry_first_ms < UNMET_MAX_MS ? retry_first_ms : UNMET_MAX_MS);
    destination->unmet = unmet;
}

bool runner_unmet_recall(struct arena *arena, struct runner_destination *destination, struct runner_walk *walk)
{
    const struct runner_unmet *unmet = destination->unmet;

    if (!unmet || unmet->protection != walk->protection || clock_steady_ms() >= unmet->until)
        return false;
    walk->unmet = walk->unreached = true;
    walk->why = arena_slice(arena, unmet->why);
    walk->status = arena_slice(arena, unmet->status);
    walk->secured = unmet->secured;
    walk->remote = (struct runner_remote){unmet->remote.host ? arena_strdup(arena, unmet->remote.host) : NULL,
                                          unmet->remote.address ? arena_strdup(arena, unmet->remote.address) : NULL};
    return true;
}
