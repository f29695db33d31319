/*
 * permit: from a transaction to what is known about it, in as few round trips as can be.
 *
 *     MAIL on port 25           none; if it asks for priority, what the first RCPT that is not ours would ask
 *     MAIL of a submission      two: the account with the sender's owner, and the account's grants
 *     RCPT                      one: the domain and what is behind the address; for an alias or a group one more for each
 *                               level: its targets, theirs, and so on
 *     first RCPT on port 25
 *     that is not ours          up to three more: the network, its grants, the sender's domain
 *
 *     of a domain that learns   two more when the memory is not enough, and then its primary is asked, for seconds at the most: when
 *                               nothing else speaks against the client, so that a stranger cannot make us ask
 *
 *     end of data of a submission
 *     in another's name         one for each address in From and Sender that is not the sender
 *
 *     end of data, if a grant
 *     with limits permitted it      one: what was used of the grants by now
 *
 * What is remembered (storage/cache.h) costs none: all of these but the account's own row, which is asked for when the
 * sender is null, and what was used of a grant with limits.
 *
 * The account is looked up anew for each message, so that a suspension takes effect in sessions that are open.
 */
#include "relay/permit.h"

#include "core/clock.h"
#include "core/idn.h"
#include "relay/srs_way.h"
#include "storage/name.h"

static struct authorize_client client_of(const struct permit *permit)
{
    return (struct authorize_client){
        .role = permit->role,
        .address = permit->peer,
        .account = permit->account,
        .network = permit->has_network ? &permit->network : NULL,
        .grants = permit->grants,
        .tls = permit->tls,
        .literals = permit->literals,
        .size_max = permit->size_max,
    };
}

static struct authorize_sender sender_of(const struct permit *permit, unsigned recipients)
{
    return (struct authorize_sender){
        .address = permit->sender,
        .owned = permit->sender_owned,
        .customer_id = permit->sender_customer_id,
        .size = permit->size,
        .recipients = recipients,
    };
}

/*
 * What is not ASCII is compared in the spelling of the directory, where the case of ASCII alone is not all that
 * differs.
 */
static struct slice spelled(struct arena *arena, struct slice address)
{
    return idn_is_ascii(address) ? address : name_key(arena, address);
}

/* ------------------------------------------------------------------ MAIL */

/* Is the address the account's: its own, an alias, a subaddress of these, or one of them in an alias domain? */
static AWAITS enum db_status owns(struct arena *arena, int64_t account_id, struct slice address,
                                  struct directory_recipient *found)
{
    if (directory_recipient(arena, address, found) == DB_FAILED)
        return DB_FAILED;
    return found->has_account && found->account.id == account_id ? DB_FOUND : DB_NONE;
}

/* Refreshes the account; tells whether the sender is one of its addresses.  False: could not be asked. */
static AWAITS bool look_up_account(struct arena *arena, struct permit *permit)
{
    struct directory_account *account = permit->account, fresh;
    struct directory_recipient found;

    permit->sender_owned = false;
    if (permit->sender.n) {
        switch (owns(arena, account->id, permit->sender, &found)) {
        case DB_FAILED: return false;
        case DB_NONE: break;
        case DB_FOUND:
            permit->sender_owned = true;
            account->state = found.account.state;
            return true;
        }
    }
    switch (directory_account(arena, account->address, &fresh)) {
    case DB_FOUND: account->state = fresh.id == account->id ? fresh.state : DIRECTORY_CLOSED; return true;
    case DB_NONE: account->state = DIRECTORY_CLOSED; return true;
    case DB_FAILED: break;
    }
    return false;
}

AWAITS bool permit_sender(struct arena *arena, struct permit *permit, struct authorize_decision *out)
{
    permit->sender = spelled(permit->arena, permit->sender);
    if (permit->role == AUTHORIZE_SUBMISSION && permit->account) {
        if (!look_up_account(arena, permit))
            return false;
        if (directory_grants_of_account(permit->arena, permit->account, permit->at_ms, &permit->grants) == DB_FAILED)
            return false;
    }
    struct authorize_client client = client_of(permit);
    struct authorize_sender sender = sender_of(permit, 0);
    authorize_sender(arena, &client, &sender, out);
    return true;
}

/* ------------------------------------------------------------------ RCPT */

/* Whose network the client is in, what it is granted, and whose domain the sender is in; once for the transaction. */
static AWAITS bool look_up_client(struct arena *arena, struct permit *permit)
{
    struct directory_domain domain;

    if (permit->client_known)
        return true;
    switch (directory_network(arena, permit->peer, &permit->network)) {
    case DB_FAILED: return false;
    case DB_FOUND: permit->has_network = true; break;
    case DB_NONE: break;
    }
    if (directory_grants_of_client(permit->arena, permit->peer, permit->certificate, permit->at_ms, &permit->grants) ==
        DB_FAILED)
        return false;
    if ((permit->has_network || permit->grants.count) && permit->sender_domain.n) {
        switch (directory_domain(arena, permit->sender_domain, &domain)) {
        case DB_FAILED: return false;
        case DB_FOUND: permit->sender_customer_id = domain.customer_id; break;
        case DB_NONE: break;
        }
    }
    permit->client_known = true;
    return true;
}

static permit_ask_fn *ask;

void permit_on_ask(permit_ask_fn *fn)
{
    ask = fn;
}

static struct slice goes_to(const struct permit_recipient *recipient)
{
    return recipient->found.address.n ? recipient->found.address : recipient->address;
}

/* Does the address exist, as far as its primary has said?  False: our own knowledge could not be asked for. */
static AWAITS bool look_up_existence(struct arena *arena, struct permit_recipient *recipient)
{
    struct directory_recipient *found = &recipient->found;
    struct slice address = goes_to(recipient);

    recipient->verify = VERIFY_ASK;
    for (unsigned fresh = 0; fresh < 2 && recipient->verify != VERIFY_ANSWERED; fresh++) {
        if (learned_find(arena, found->domain.id, &address, 1, fresh, &recipient->learned) == DB_FAILED)
            return false;
        recipient->verify =
            verify_known(&recipient->learned, found->domain.outage_id != 0, clock_now_ms(), &found->existence);
    }
    if (recipient->verify == VERIFY_ASK)
        found->existence = DIRECTORY_UNASKED;
    return true;
}

/*
 * One look-up for each domain.  Nobody is asked: a thousand members would be a thousand questions; and what is not
 * known is taken, as an administrator has named it.
 */
AWAITS bool permit_existing(struct arena *arena, const struct slice *addresses, struct directory_recipient *found,
                            unsigned count)
{
    struct slice *asked = arena_array(arena, count, sizeof *asked);
    struct learned *known = arena_array(arena, count, sizeof *known);
    bool *done = arena_array(arena, count, sizeof *done);

    for (unsigned first = 0; first < count; first++) {
        unsigned n = 0;

        for (unsigned i = first; i < count; i++)
            if (!done[i] && verify_wanted(&found[i]) && found[i].domain.id == found[first].domain.id)
                asked[n++] = found[i].address.n ? found[i].address : addresses[i];
        if (!n)
            continue;
        if (learned_find(arena, found[first].domain.id, asked, n, false, known) == DB_FAILED)
            return false;
        n = 0;
        for (unsigned i = first; i < count; i++) {
            if (done[i] || !verify_wanted(&found[i]) || found[i].domain.id != found[first].domain.id)
                continue;
            done[i] = true;
            if (verify_known(&known[n++], found[i].domain.outage_id != 0, clock_now_ms(), &found[i].existence) ==
                    VERIFY_ASK ||
                found[i].existence == DIRECTORY_UNKNOWN)
                found[i].existence = DIRECTORY_UNASKED;
        }
    }
    return true;
}

AWAITS bool permit_known(struct arena *arena, struct permit *permit, bool *known)
{
    if (!permit->account && !look_up_client(arena, permit))
        return false;
    *known = permit->account || (permit->has_network && permit->network.customer_active);
    for (unsigned i = 0; i < permit->grants.count; i++)
        *known |= permit->grants.list[i].customer_active;
    return true;
}

AWAITS bool permit_client(struct arena *arena, struct permit *permit)
{
    return look_up_client(arena, permit);
}

AWAITS bool permit_usage(struct arena *arena, struct permit *permit)
{
    return directory_grants_usage(arena, &permit->grants) != DB_FAILED;
}

/* A group among them may ask whose network the client is in. */
static AWAITS bool look_up_for(struct arena *arena, struct permit *permit, const struct directory_recipient *found,
                               unsigned count)
{
    struct authorize_client client = client_of(permit);

    for (unsigned i = 0; i < count; i++)
        if (found[i].has_expansion && authorize_needs_grant(&client, &found[i]) && !look_up_client(arena, permit))
            return false;
    return true;
}

AWAITS bool permit_expand(struct arena *arena, struct permit *permit, const struct authorize_sender *sender,
                          struct permit_recipient *recipient, struct authorize_decision *out)
{
    struct resolve resolve;
    struct authorize_client client = {0};
    struct slice *addresses = NULL;
    unsigned count = 0;

    if (permit)
        client = client_of(permit);
    resolve_begin(&resolve, arena, permit ? &client : NULL, sender, spelled(arena, recipient->address),
                  &recipient->found);
    while (resolve_pending(&resolve, &addresses, &count)) {
        struct directory_recipient *found = arena_array(arena, count, sizeof *found);

        if (directory_recipients(arena, addresses, count, found) == DB_FAILED)
            return false;
        if (permit && !look_up_for(arena, permit, found, count))
            return false;
        if (!permit_existing(arena, addresses, found, count))
            return false;
        if (permit)
            client = client_of(permit);
        resolve_found(&resolve, found);
    }
    resolve_decide(&resolve, out);
    recipient->targets = resolve.targets;
    recipient->target_count = resolve.count;
    return true;
}

static bool is_taken(const struct authorize_decision *decision)
{
    return decision->verdict == AUTHORIZE_MAILBOX || decision->verdict == AUTHORIZE_RELAY ||
           decision->verdict == AUTHORIZE_OUTSIDE;
}

AWAITS bool permit_recipient(struct arena *arena, struct permit *permit, struct permit_recipient *recipient,
                             struct authorize_decision *out)
{
    if (!recipient->literal && directory_recipient(arena, recipient->address, &recipient->found) == DB_FAILED)
        return false;
    if (recipient->ours)
        recipient->found.has_domain = true;
    switch (srs_way_back(arena, permit, recipient, out)) {
    case SRS_WAY_FAILED: return false;
    case SRS_WAY_REFUSED: return true;
    case SRS_WAY_NONE:
    case SRS_WAY_BACK: break;
    }
    struct authorize_client client = client_of(permit);
    if (authorize_needs_grant(&client, &recipient->found) && !look_up_client(arena, permit))
        return false;
    client = client_of(permit);
    struct authorize_sender sender = sender_of(permit, recipient->before);
    authorize_recipient(arena, &client, &sender, recipient->address, recipient->literal, &recipient->found, out);
    if (out->verdict == AUTHORIZE_RELAY &&
        verify_wanted(&recipient->found)) { /* only what would be taken is asked for */
        if (!look_up_existence(arena, recipient))
            return false;
        authorize_recipient(arena, &client, &sender, recipient->address, recipient->literal, &recipient->found, out);
    }
    if (out->verdict == AUTHORIZE_EXPANDED)
        return permit_expand(arena, permit, &sender, recipient, out);
    if (is_taken(out)) {
        recipient->targets = arena_alloc(arena, sizeof *recipient->targets);
        recipient->target_count = 1;
        *recipient->targets = (struct resolve_target){goes_to(recipient), out->verdict, NULL, recipient->found};
    }
    return true;
}

AWAITS void permit_primary(struct arena *arena, struct permit *permit, struct permit_recipient *recipient,
                           struct authorize_decision *out)
{
    struct authorize_client client = client_of(permit);
    struct authorize_sender sender = sender_of(permit, recipient->before);
    int64_t domain_id = recipient->found.domain.id;

    if (!recipient->target_count)
        return;
    switch (recipient->verify) {
    case VERIFY_ANSWERED: return;
    case VERIFY_REFRESH:
        if (ask)
            ask(domain_id, goes_to(recipient), false);
        return;
    case VERIFY_ASK: break;
    }
    recipient->found.existence =
        verify_asked(&recipient->learned, ask ? ask(domain_id, goes_to(recipient), true) : VERIFY_UNTOLD);
    authorize_recipient(arena, &client, &sender, recipient->address, recipient->literal, &recipient->found, out);
    recipient->targets->found = recipient->found;
    if (!is_taken(out))
        recipient->target_count = 0;
}

/* ------------------------------------------------------------------ the header */

AWAITS bool permit_author(struct arena *arena, struct permit *permit, const struct directory_grant *grant,
                          const char *field, struct slice address, struct authorize_decision *out)
{
    struct authorize_client client = client_of(permit);
    struct authorize_sender author = {.address = address};
    struct directory_recipient found;

    if (permit->sender.n && slice_equal_nocase(address, permit->sender)) {
        author.owned = permit->sender_owned;
    } else if (!grant || grant->senders == DIRECTORY_SENDERS_OWN) {
        switch (owns(arena, permit->account->id, address, &found)) {
        case DB_FOUND: author.owned = true; break;
        case DB_NONE: break;
        case DB_FAILED: return false;
        }
    }
    authorize_author(arena, &client, &author, field, grant, out);
    return true;
}

int64_t permit_outside_customer(const struct permit *permit, const struct authorize_decision *decision,
                                const struct resolve_target *target, unsigned *cell)
{
    if (target->by) {
        *cell = target->by->cell;
        return target->by->customer_id;
    }
    if (permit->account) {
        *cell = permit->account->cell;
        return permit->account->customer_id;
    }
    if (decision->grant) {
        *cell = decision->grant->cell;
        return decision->grant->customer_id;
    }
    *cell = permit->network.cell;
    return permit->network.customer_id;
}
