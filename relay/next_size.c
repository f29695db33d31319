/*
 * next_size: is there anybody who would take it?
 *
 * Of several targets of one recipient it is enough that one takes the message: an alias is not refused for one of them,
 * whose copy is returned.  The size is what MAIL declares; at the end of data it is what we would send.
 *
 * Below the floor nothing is asked, so that most mail pays for nothing.  What could not be asked is said to be so
 * (451): without the database nothing could be taken anyway.
 */
#include "relay/next_size.h"

#include "relay/outgoing.h"
#include "storage/hop_size.h"
#include "storage/queue.h"

AWAITS bool next_size_most(struct arena *arena, const struct slice *destinations, unsigned count, uint64_t *most)
{
    uint64_t *limits = arena_array(arena, count, sizeof *limits);

    *most = UINT64_MAX;
    for (unsigned i = 0; i < count; i++)
        if (!destinations[i].n)
            return true;
    if (!count)
        return true;
    if (hop_size_find(arena, destinations, count, limits) == DB_FAILED)
        return false;
    *most = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t limit = limits[i] ? limits[i] : UINT64_MAX;

        *most = limit > *most ? limit : *most;
    }
    return true;
}

AWAITS bool next_size_ask(struct arena *arena, const struct permit *permit, struct permit_recipient *recipient,
                          const struct authorize_decision *decision, bool default_route)
{
    unsigned count = recipient->target_count;
    struct slice *destinations = arena_array(arena, count, sizeof *destinations);
    struct outgoing way;
    uint64_t most;

    for (unsigned i = 0; i < count; i++) {
        const struct resolve_target *target = &recipient->targets[i];

        destinations[i] = slice_of("", 0);
        if (target->verdict == AUTHORIZE_RELAY)
            destinations[i] = queue_destination_domain(arena, target->found.domain.id);
        if (target->verdict != AUTHORIZE_OUTSIDE)
            continue;
        struct route_rule_mail mail = outgoing_mail(permit, decision, target, recipient->domain);
        if (!outgoing_find(arena, &mail, default_route, &way))
            return false;
        destinations[i] = way.destination;
    }
    if (!next_size_most(arena, destinations, count, &most))
        return false;
    recipient->size_most = most == UINT64_MAX ? 0 : most;
    return true;
}

bool next_size_refuses(struct arena *arena, struct slice address, uint64_t size, uint64_t most,
                       struct authorize_decision *out)
{
    if (!most || size < NEXT_SIZE_FLOOR || size <= most)
        return false;
    *out = (struct authorize_decision){
        .verdict = AUTHORIZE_DENIED,
        .reason = "next-hop-size",
        .code = 552, /* RFC 1870 section 6.1 */
        .enhanced = "5.3.4",
        .text = arena_printf(arena, "<%.*s>: its mail server takes messages up to %llu octets; this one has %llu",
                             SLICE_ARG(address), (unsigned long long)most, (unsigned long long)size),
    };
    return true;
}
