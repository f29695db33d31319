/*
 * resolve: from an address that stands for others to those that its mail goes to.
 *
 * Level by level: the targets of an alias are looked up together, then the targets of those that are aliases
 * themselves, so the number of questions is the depth, or more where a level is wider than RESOLVE_PENDING_MAX.  An
 * address is looked at once, however many ways lead to it: that ends circles, and sends one copy to who is named
 * twice.
 *
 * A thousand groups may name the same thousand addresses.  That is few addresses and a million names to compare with
 * them, on the loop: so names are counted, too (RESOLVE_NAMES_MAX), and one answer of the directory brings no more of
 * them than RESOLVE_PENDING_MAX expansions have.
 *
 * What cannot be delivered is left out as long as something is left: an alias to three colleagues works on when one of
 * them is gone, and the sender is not told, as he wrote to the alias.  When nothing is left he is refused for the
 * reason that a person can act on: a suspended mailbox before one that is not there.
 *
 * A group asks who sends also when an alias leads to it, or the alias would be the way around.
 *
 * "members" believes the envelope's sender.  For a submission that is what the account may send as; on port 25 it is
 * what the client says.  "customer" asks for more: an account of the customer, a client in one of its networks, or one
 * that the customer has granted something: by its certificate, or by its address.
 */
#include "relay/resolve.h"

#include <string.h>

/* Only what is in force for this client is among its grants; one for TLS is none in clear. */
static bool has_grant(const struct authorize_client *client, int64_t customer_id)
{
    for (unsigned i = 0; i < client->grants.count; i++) {
        const struct directory_grant *grant = &client->grants.list[i];

        if (grant->customer_id == customer_id && grant->customer_active && (client->tls || !grant->tls_required))
            return true;
    }
    return false;
}

bool resolve_may_post(const struct authorize_client *client, const struct authorize_sender *sender,
                      const struct directory_expansion *expansion)
{
    switch (expansion->senders) {
    case DIRECTORY_POSTERS_ANYONE: return true;
    case DIRECTORY_POSTERS_MEMBERS:
        for (unsigned i = 0; i < expansion->target_count; i++)
            if (slice_equal_nocase(expansion->targets[i], sender->address))
                return true;
        return false;
    case DIRECTORY_POSTERS_CUSTOMER:
        if (client->account)
            return client->account->customer_id == expansion->customer_id;
        return has_grant(client, expansion->customer_id) || (client->network && client->network->customer_active &&
                                                             client->network->customer_id == expansion->customer_id);
    }
    return false;
}

static bool is_known(const struct resolve *r, struct slice address)
{
    if (slice_equal_nocase(r->address, address))
        return true;
    for (unsigned i = 0; i < r->count; i++)
        if (slice_equal_nocase(r->targets[i].address, address))
            return true;
    return false;
}

/* Most have one target or few; what was there stays where it is, for who points into it. */
static void make_room(struct resolve *r)
{
    if (r->count < r->room)
        return;
    unsigned room = r->room ? r->room * 4 : 8;
    struct resolve_target *targets = arena_array(r->arena, room, sizeof *targets);

    if (r->count)
        memcpy(targets, r->targets, r->count * sizeof *targets);
    r->targets = targets;
    r->room = room;
}

static void add_targets(struct resolve *r, const struct directory_expansion *by)
{
    if (r->client && !resolve_may_post(r->client, r->sender, by)) {
        r->closed = true;
        return;
    }
    if (by->target_count > RESOLVE_NAMES_MAX - r->names) {
        r->too_much = true;
        return;
    }
    r->names += by->target_count;
    for (unsigned i = 0; i < by->target_count; i++) {
        if (is_known(r, by->targets[i]))
            continue;
        if (r->count == RESOLVE_TARGETS_MAX) {
            r->too_much = true;
            return;
        }
        make_room(r);
        r->targets[r->count++] = (struct resolve_target){.address = by->targets[i], .by = by};
    }
}

void resolve_begin(struct resolve *r, struct arena *arena, const struct authorize_client *client,
                   const struct authorize_sender *sender, struct slice address, const struct directory_recipient *found)
{
    *r = (struct resolve){.arena = arena, .client = client, .sender = sender, .address = address};
    add_targets(r, arena_memdup(arena, &found->expansion, sizeof found->expansion));
    r->level_end = r->count;
}

bool resolve_pending(const struct resolve *r, struct slice **addresses, unsigned *count)
{
    *count = r->level_end - r->looked_up;
    if (!*count || r->too_much)
        return false;
    if (*count > RESOLVE_PENDING_MAX)
        *count = RESOLVE_PENDING_MAX;
    *addresses = arena_array(r->arena, *count, sizeof **addresses);
    for (unsigned i = 0; i < *count; i++)
        (*addresses)[i] = r->targets[r->looked_up + i].address;
    return true;
}

void resolve_found(struct resolve *r, const struct directory_recipient *found)
{
    unsigned first = r->looked_up, left = r->level_end - first;

    r->looked_up = first + (left < RESOLVE_PENDING_MAX ? left : RESOLVE_PENDING_MAX);
    for (unsigned i = first; i < r->looked_up && !r->too_much; i++) {
        r->targets[i].found = found[i - first];
        if (found[i - first].address.n)
            r->targets[i].address = found[i - first].address;
        if (!r->targets[i].found.has_expansion)
            continue;
        if (r->depth + 1 == RESOLVE_DEPTH_MAX)
            r->too_much = true;
        else
            add_targets(r, arena_memdup(r->arena, &found[i - first].expansion, sizeof found->expansion));
    }
    if (r->looked_up < r->level_end)
        return;
    r->level_end = r->count; /* what was added meanwhile is the next level */
    r->depth++;
}

/* ------------------------------------------------------------------ what is left */

/* One mailbox under several names, or one address by way of an alias domain. */
static bool is_double(const struct resolve_target *kept, unsigned count, const struct resolve_target *target)
{
    for (unsigned i = 0; i < count; i++)
        if (target->verdict == kept[i].verdict &&
            (target->verdict == AUTHORIZE_MAILBOX ? kept[i].found.account.id == target->found.account.id
                                                  : slice_equal_nocase(kept[i].address, target->address)))
            return true;
    return false;
}

static void refuse(struct resolve *r, enum authorize_verdict verdict, const char *reason, unsigned code,
                   const char *enhanced, const char *format, struct authorize_decision *out)
{
    const struct directory_grant *grant = out->grant;

    r->count = 0;
    *out = (struct authorize_decision){verdict, reason, code, enhanced, NULL, grant, NULL, false};
    out->text = arena_printf(r->arena, "<%.*s>: %s", SLICE_ARG(r->address), format);
}

void resolve_decide(struct resolve *r, struct authorize_decision *out)
{
    bool suspended = false;
    unsigned kept = 0;

    if (r->too_much) { /* RFC 3463: X.3.5, system incorrectly configured */
        refuse(r, AUTHORIZE_DENIED, "expansion-too-large", 451, "4.3.5", "this address leads to too many others", out);
        return;
    }
    for (unsigned i = 0; i < r->count; i++) {
        struct resolve_target *target = &r->targets[i];
        struct authorize_decision decision;

        if (target->found.has_expansion)
            continue;
        authorize_delivery(r->arena, target->address, &target->found, &decision);
        target->verdict = decision.verdict;
        if (decision.verdict == AUTHORIZE_UNKNOWN || decision.verdict == AUTHORIZE_DENIED)
            suspended |= decision.verdict == AUTHORIZE_DENIED;
        else if (!is_double(r->targets, kept, target))
            r->targets[kept++] = *target;
    }
    r->count = kept;
    if (kept)
        return;
    if (r->closed) /* RFC 3463: X.7.2, mailing list expansion prohibited */
        refuse(r, AUTHORIZE_DENIED, "group-closed", 550, "5.7.2", "you may not send to this group", out);
    else if (suspended)
        refuse(r, AUTHORIZE_DENIED, "recipient-suspended", 550, "5.2.1", "nobody behind this address takes mail", out);
    else
        refuse(r, AUTHORIZE_UNKNOWN, "unknown-user", 550, "5.1.1", "no such user here: nobody is behind this address",
               out);
}
