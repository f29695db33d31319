/*
 * srs_way: when senders are rewritten, and what comes back.
 *
 * Out.  Mail that an alias, a group or a catch-all sends to an outside address is marked at RCPT with the domain that
 * it is forwarded by; the sender is rewritten when it is sent (daemon/runner_srs.c), and not before: what we
 * ourselves have to tell goes to who sent it, the directory and the queue show him, and rules for senders mean him.
 * Left alone are the null sender, whose mail must stay what nobody answers, and senders in domains of ours whom the
 * client may send as: signed in, or in a network, or granted.  A stranger who says that he is one of us is rewritten:
 * SPF of our own domain would vouch for him.  What goes to the next hops of a domain here, split or relayed, is not
 * forwarded: they are the domain's own, and know us.
 *
 * Back.  An address that we have written stands for the sender's, as an alias does, so that everything else (his
 * mailbox here, routing, ORCPT, events) is that of an alias.  It is for notices only: from the null sender (RFC 5321
 * 4.5.5, RFC 3834 section 3.3).  Others have no business to write to it; it would let everybody relay through us to
 * whoever once wrote to an alias.
 *
 * What is not of our making is refused in a hosted domain, whatever its catch-all.  In a domain with next hops it goes
 * the way of any address there: the domain's own server may rewrite senders, too, and its bounces come by us.  So it
 * is while rewriting is off.  An account or an alias of that name has its mail.
 */
#include "relay/srs_way.h"

#include "core/clock.h"
#include "core/log.h"
#include "storage/name.h"
#include "storage/srs_key.h"

#define CHAIN_MAX 3 /* SRS1 of an SRS0 of ours */

static const struct srs_way_settings off = {.days = 21};
static const struct srs_way_settings *settings = &off;

void srs_way_configure(const struct srs_way_settings *given)
{
    settings = given;
}

/* ------------------------------------------------------------------ out */

bool srs_way_forwards(const struct resolve_target *target)
{
    return target->verdict == AUTHORIZE_OUTSIDE && target->by && !target->by->srs;
}

/* In a domain here, and the client may say so.  False: it could not be asked. */
static AWAITS bool is_own(struct arena *arena, struct permit *permit, bool *own)
{
    struct directory_domain domain;

    *own = false;
    switch (directory_domain(arena, permit->sender_domain, &domain)) {
    case DB_FOUND: return permit_known(arena, permit, own);
    case DB_NONE: return true;
    case DB_FAILED: break;
    }
    return false;
}

AWAITS bool srs_way_domain(struct arena *arena, struct permit *permit, const struct permit_recipient *recipient,
                           struct slice *out)
{
    struct directory_domain domain;
    bool own;

    *out = slice_of("", 0);
    if (!settings->on || !permit->sender.n)
        return true;
    if (!is_own(arena, permit, &own))
        return false;
    if (own)
        return true;
    if (settings->domain) {
        switch (directory_domain(arena, slice_str(settings->domain), &domain)) {
        case DB_FOUND: *out = arena_slice(permit->arena, domain.name); return true;
        case DB_NONE: break; /* a bounce to it would not be taken */
        case DB_FAILED: return false;
        }
    }
    if (!name_domain(permit->arena, recipient->domain, out))
        *out = slice_of("", 0);
    return true;
}

bool srs_way_sender(struct arena *arena, struct slice sender, struct slice domain, struct slice *out,
                    enum srs_written *written)
{
    const struct slice *keys;
    unsigned count;

    *out = sender;
    *written = SRS_UNFIT;
    if (!settings->on || !sender.n || !domain.n)
        return true;
    if (!srs_keys(&keys, &count))
        return false;
    *written = srs_write(arena, keys[0], sender, domain, clock_now_ms(), out);
    return true;
}

/* ------------------------------------------------------------------ back */

/* Through the rewritings that are ours: one domain here may have forwarded to another. */
static enum srs_read read_all(struct arena *arena, struct slice address, struct slice *original)
{
    const struct slice *keys = NULL;
    unsigned count = 0;
    enum srs_read status;

    (void)!srs_keys(&keys, &count);
    status = srs_read(arena, keys, count, address, clock_now_ms(), settings->days, original);
    for (unsigned i = 1; i < CHAIN_MAX && status == SRS_READ; i++) {
        struct slice further;

        switch (srs_read(arena, keys, count, *original, clock_now_ms(), settings->days, &further)) {
        case SRS_READ: *original = further; break;
        case SRS_OLD: return SRS_OLD;
        case SRS_FORGED: /* another's */
        case SRS_NONE: return SRS_READ;
        }
    }
    return status;
}

static enum srs_way refuse(struct arena *arena, const struct permit_recipient *recipient, const char *reason,
                           const char *enhanced, const char *text, struct authorize_decision *out)
{
    *out = (struct authorize_decision){
        .verdict = AUTHORIZE_DENIED,
        .reason = reason,
        .code = 550,
        .enhanced = enhanced,
        .text = arena_printf(arena, "<%.*s>: %s", SLICE_ARG(recipient->address), text),
    };
    return SRS_WAY_REFUSED;
}

/* May it be somebody else's than ours to understand? */
static bool is_for_others(const struct directory_recipient *found)
{
    return !settings->on || found->domain.kind == DIRECTORY_RELAY || found->domain.elsewhere || found->has_account ||
           (found->has_expansion && !found->expansion.catch_all);
}

static enum srs_way go_back(struct arena *arena, struct permit_recipient *recipient, struct slice original)
{
    struct directory_recipient *found = &recipient->found;
    struct slice *targets = arena_array(arena, 1, sizeof *targets);

    targets[0] = original;
    found->has_account = false;
    found->has_expansion = true;
    found->expansion = (struct directory_expansion){
        .id = found->domain.id,
        .customer_id = found->domain.customer_id,
        .cell = found->domain.cell,
        .srs = true,
        .senders = DIRECTORY_POSTERS_ANYONE,
        .targets = targets,
        .target_count = 1,
    };
    return SRS_WAY_BACK;
}

enum srs_way srs_way_back(struct arena *arena, const struct permit *permit, struct permit_recipient *recipient,
                          struct authorize_decision *out)
{
    const struct slice *keys;
    struct slice original;
    unsigned count;
    enum srs_read status;

    if (!recipient->found.has_domain || recipient->literal)
        return SRS_WAY_NONE;
    status = read_all(arena, recipient->address, &original);
    if (status == SRS_NONE || (status == SRS_FORGED && is_for_others(&recipient->found)))
        return srs_keys(&keys, &count) || status == SRS_NONE ? SRS_WAY_NONE : SRS_WAY_FAILED;
    if (!srs_keys(&keys, &count))
        return SRS_WAY_FAILED;
    switch (status) {
    case SRS_NONE:
    case SRS_FORGED:
        return refuse(arena, recipient, "srs-forged", "5.1.1", "no such address: this server has not made it", out);
    case SRS_OLD:
        return refuse(arena, recipient, "srs-expired", "5.7.1",
                      "the mail that this address was made for was sent too long ago", out);
    case SRS_READ: break;
    }
    if (permit->sender.n)
        return refuse(arena, recipient, "srs-sender", "5.7.1",
                      "this address takes notices about forwarded mail only, which have the null sender", out);
    return go_back(arena, recipient, original);
}
