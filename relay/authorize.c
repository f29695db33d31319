/*
 * authorize: who may send what where.
 *
 *                         sender                                recipient
 *                                              hosted        relay domain     outside
 *   port 25, stranger     any                  mailbox       its route        denied
 *   port 25, network      any                  mailbox       its route        if the sender is null or in a
 *                                                                             domain of the network's customer
 *   submission, account   its own addresses    mailbox       its route        default route or MX
 *                         or null
 *   submission, nobody    denied (530)
 *
 * Nothing else is ever relayed.  These are the implicit rules.  Relay grants, where there are any for the client,
 * replace them: for all mail of an account, and for what a client on port 25 sends outside; the first grant that
 * permits sender, recipient and size decides.  What is refused is explained by the grant that came nearest.  What is
 * not obvious:
 *
 *   - The null sender is allowed to accounts (MDNs must carry it, RFC 8098 section 3) and to networks (a
 *     customer's server must be able to send its DSNs, RFC 5321 section 6.1).
 *   - A stranger may use any sender, ours included, towards our recipients: mailing lists and forwarders do.
 *   - Every address of a relay domain is accepted, unless the domain says which are valid: the server behind it knows
 *     its users, we only know those who may read held mail here.
 *   - A suspended account refuses mail (550 5.2.1): its correspondent should hear of it at once, not after days of
 *     retries.  So does a send-only one; a closed one is unknown (550 5.1.1).  In a relay domain an account's
 *     suspension closes the reading, not the domain's mail.
 *   - Address literals as destination are refused: a relay that sends to any address named by a client is a
 *     port scanner.
 *   - A suspended customer's network is no network.
 *   - Mail from port 25 to our own recipients is never subject to a grant: what a stranger may do, a client with
 *     a grant may do, too.
 *   - A certificate that a grant names need not be verified: the grant names that very one, whose key the handshake has
 *     proven, and servers show certificates that they have made themselves.
 *   - A message that is too big for a grant does not become smaller: 552 whatever the grant says of limits.  Too many
 *     recipients are 452, after which clients send the rest in a second transaction (RFC 5321 section 4.5.3.1.10), or
 *     550 if the grant says refuse.  A limit of a minute, an hour or a day is 451 4.7.1 or 550 5.7.1; or the message
 *     is taken and held (at_limit "hold"), unless another grant permits it without.
 *
 * The most specific true reason is given, because its reader is a person whose mail was refused.
 */
#include "relay/authorize.h"

#include "core/id.h"
#include "relay/authorize_internal.h"
#include "relay/resolve.h"

const char *authorize_verdict_word(enum authorize_verdict verdict)
{
    switch (verdict) {
    case AUTHORIZE_ALLOWED: return "allowed";
    case AUTHORIZE_MAILBOX: return "mailbox";
    case AUTHORIZE_RELAY: return "relay";
    case AUTHORIZE_OUTSIDE: return "outside";
    case AUTHORIZE_EXPANDED: return "expanded";
    case AUTHORIZE_UNKNOWN: return "unknown";
    case AUTHORIZE_DENIED: return "denied";
    }
    return "";
}

/* ------------------------------------------------------------------ grants */

/* How far a grant carries; of those that fail the one that fails last is told. */
enum step {
    STEP_CUSTOMER,
    STEP_SENDER,
    STEP_RECIPIENT,
    STEP_TLS,
    STEP_SIZE,
    STEP_RECIPIENTS,
    STEP_WINDOW,
    STEP_GRANTED
};

/* What is asked: recipient NULL at MAIL. */
struct question {
    struct arena *arena;
    const struct authorize_client *client;
    const struct authorize_sender *sender;
    const struct directory_recipient *recipient;
    struct slice address; /* the recipient's */
};

static struct slice domain_of(struct slice address)
{
    const char *at = address.n ? memrchr(address.p, '@', address.n) : NULL;
    return at ? slice_skip(address, (size_t)(at - address.p) + 1) : slice_of("", 0);
}

static bool listed(const struct slice *domains, unsigned count, struct slice address)
{
    struct slice domain = domain_of(address);
    for (unsigned i = 0; i < count; i++)
        if (slice_equal_nocase(domains[i], domain))
            return true;
    return false;
}

static bool permits_sender(const struct question *q, const struct directory_grant *grant)
{
    const struct authorize_sender *sender = q->sender;

    if (!sender->address.n)
        return true;
    switch (grant->senders) {
    case DIRECTORY_SENDERS_ANY: return true;
    case DIRECTORY_SENDERS_OWN: return q->client->account ? sender->owned : sender->customer_id == grant->customer_id;
    case DIRECTORY_SENDERS_DOMAINS: return listed(grant->sender_domains, grant->sender_domain_count, sender->address);
    }
    return false;
}

static bool permits_recipient(const struct question *q, const struct directory_grant *grant)
{
    switch (grant->recipients) {
    case DIRECTORY_RECIPIENTS_ANY: return true;
    case DIRECTORY_RECIPIENTS_DOMAINS:
        return listed(grant->recipient_domains, grant->recipient_domain_count, q->address);
    case DIRECTORY_RECIPIENTS_CUSTOMER:
        return q->recipient->has_domain && q->recipient->domain.customer_id == grant->customer_id;
    }
    return false;
}

static struct authorize_window find_full(const struct question *q, const struct directory_grant *grant, uint64_t times)
{
    return authorize_window(grant, q->recipient ? q->sender->recipients + 1 : 1, q->sender->size, times);
}

static enum step try_grant(const struct question *q, const struct directory_grant *grant)
{
    if (!grant->customer_active)
        return STEP_CUSTOMER;
    if (!permits_sender(q, grant))
        return STEP_SENDER;
    if (q->recipient && !permits_recipient(q, grant))
        return STEP_RECIPIENT;
    if (grant->tls_required && !q->client->tls)
        return STEP_TLS;
    if (grant->size_max && q->sender->size > grant->size_max)
        return STEP_SIZE;
    if (q->recipient && grant->recipients_max && q->sender->recipients >= grant->recipients_max)
        return STEP_RECIPIENTS;
    if (grant->counted && find_full(q, grant, 1).limit)
        return STEP_WINDOW;
    return STEP_GRANTED;
}

static const char *senders_in_words(const struct question *q, const struct directory_grant *grant)
{
    switch (grant->senders) {
    case DIRECTORY_SENDERS_ANY: return "any address";
    case DIRECTORY_SENDERS_DOMAINS: return "addresses in the domains that it lists";
    case DIRECTORY_SENDERS_OWN:
        return q->client->account ? "the account's own address and its aliases" : "addresses in its customer's domains";
    }
    return "";
}

/* RFC 1870 section 6.1: said before it is sent, if its size was told. */
void authorize_too_big(struct arena *arena, const struct directory_grant *grant, uint64_t size_max,
                       struct authorize_decision *out)
{
    char id[ID_TEXT_SIZE];

    if (!grant) {
        refuse(out, AUTHORIZE_DENIED, "too-big", 552, "5.3.4",
               arena_printf(arena, "Message too big; the limit is %llu octets", (unsigned long long)size_max));
        return;
    }
    refuse(out, AUTHORIZE_DENIED, "size-limit", 552, "5.3.4",
           arena_printf(arena, "Message too big: grant %s permits %llu octets", id_print(grant->id, id),
                        (unsigned long long)grant->size_max));
    out->limit = "size_max";
    out->grant = grant;
}

/* Why this grant does not permit it. */
static void explain(const struct question *q, const struct directory_grant *grant, enum step step,
                    struct authorize_decision *out)
{
    struct arena *arena = q->arena;
    char id[ID_TEXT_SIZE];
    struct authorize_window window;
    struct slice who = q->client->account ? q->client->account->address : slice_str(q->client->address);

    id_print(grant->id, id);
    switch (step) {
    case STEP_CUSTOMER:
        refuse(out, AUTHORIZE_DENIED, "customer-suspended", 550, "5.7.1",
               arena_printf(arena, "relaying denied: the customer of grant %s is suspended", id));
        break;
    case STEP_SENDER:
        refuse(out, AUTHORIZE_DENIED, "sender-not-granted", 550, "5.7.1",
               arena_printf(arena, "%.*s may not send as <%.*s>: grant %s permits %s", SLICE_ARG(who),
                            SLICE_ARG(q->sender->address), id, senders_in_words(q, grant)));
        break;
    case STEP_RECIPIENT:
        refuse(out, AUTHORIZE_DENIED, "recipient-not-granted", 550, "5.7.1",
               arena_printf(arena, "<%.*s>: relaying denied: grant %s permits recipients in %s only",
                            SLICE_ARG(q->address), id,
                            grant->recipients == DIRECTORY_RECIPIENTS_CUSTOMER ? "its customer's domains"
                                                                               : "the domains that it lists"));
        break;
    case STEP_TLS: /* RFC 3207 section 4 */
        refuse(out, AUTHORIZE_DENIED, "tls-required", 530, "5.7.0",
               arena_printf(arena, "Must issue a STARTTLS command first: grant %s is for TLS only", id));
        break;
    case STEP_SIZE: authorize_too_big(arena, grant, 0, out); break;
    case STEP_RECIPIENTS:
        refuse(out, AUTHORIZE_DENIED, "recipients-limit", grant->at_limit == DIRECTORY_LIMIT_REFUSE ? 550 : 452,
               grant->at_limit == DIRECTORY_LIMIT_REFUSE ? "5.5.3" : "4.5.3",
               arena_printf(arena, "Too many recipients: grant %s permits %u in a message", id, grant->recipients_max));
        out->limit = "recipients_max";
        break;
    case STEP_WINDOW:
        window = find_full(q, grant, 1);
        authorize_window_refuse(arena, grant, &window, out);
        break;
    case STEP_GRANTED: break;
    }
    out->grant = grant;
}

/*
 * There are grants.  NULL: none permits it, and *out says why.  *held: it does, but the message waits for somebody to
 * decide.
 */
static const struct directory_grant *choose(const struct question *q, struct authorize_decision *out, bool *held)
{
    const struct directory_grants *grants = &q->client->grants;
    const struct directory_grant *nearest = NULL, *holds = NULL;
    enum step farthest = STEP_CUSTOMER;

    for (unsigned i = 0; i < grants->count; i++) {
        enum step step = try_grant(q, &grants->list[i]);
        if (step == STEP_GRANTED)
            return &grants->list[i];
        if (step == STEP_WINDOW && grants->list[i].at_limit == DIRECTORY_LIMIT_HOLD && !holds &&
            !find_full(q, &grants->list[i], AUTHORIZE_HOLD_TIMES).limit)
            holds = &grants->list[i];
        if (!nearest || step > farthest) {
            nearest = &grants->list[i];
            farthest = step;
        }
    }
    *held = holds != NULL;
    if (holds)
        return holds;
    explain(q, nearest, farthest, out);
    return NULL;
}

/* By which grant, if it is taken; and that it is held. */
static void take(const struct question *q, const struct directory_grant *grant, bool held,
                 struct authorize_decision *out)
{
    struct authorize_window window;
    char id[ID_TEXT_SIZE];

    out->grant = grant;
    if (!held || out->code != 250)
        return;
    window = find_full(q, grant, 1);
    out->held = true;
    out->limit = window.limit;
    out->text = arena_printf(q->arena, "Ok, to be held: grant %s permits %llu %s in a %s", id_print(grant->id, id),
                             (unsigned long long)window.permitted, window.unit, window.span);
}

/* ------------------------------------------------------------------ MAIL */

void authorize_sender(struct arena *arena, const struct authorize_client *client, const struct authorize_sender *sender,
                      struct authorize_decision *out)
{
    const struct directory_account *account = client->account;

    if (client->size_max && sender->size > client->size_max) {
        authorize_too_big(arena, NULL, client->size_max, out);
        return;
    }
    if (client->role == AUTHORIZE_MX) {
        allow(out, AUTHORIZE_ALLOWED, "any-sender");
        return;
    }
    if (!account) {
        refuse(out, AUTHORIZE_DENIED, "not-authenticated", 530, "5.7.0", "Authentication required");
        return;
    }
    if (!directory_may_send(account)) {
        const char *state = account->state == DIRECTORY_RECEIVE_ONLY ? "receive-only"
                            : account->state == DIRECTORY_CLOSED     ? "closed"
                                                                     : "suspended";
        refuse(out, AUTHORIZE_DENIED, arena_printf(arena, "account-%s", state), 550, "5.7.1",
               arena_printf(arena, "%.*s may not send: the account is %s", SLICE_ARG(account->address), state));
        return;
    }
    if (client->grants.count) {
        const struct question question = {arena, client, sender, NULL, {"", 0}};
        bool held = false;
        if (choose(&question, out, &held))
            allow(out, AUTHORIZE_ALLOWED, "grant");
        return;
    }
    if (sender->address.n && !sender->owned) {
        refuse(out, AUTHORIZE_DENIED, "sender-not-owned", 550, "5.7.1",
               arena_printf(arena, "%.*s may not send as <%.*s>; it may send as its own address and its aliases",
                            SLICE_ARG(account->address), SLICE_ARG(sender->address)));
        return;
    }
    allow(out, AUTHORIZE_ALLOWED, sender->address.n ? "sender-owned" : "null-sender");
}

void authorize_author(struct arena *arena, const struct authorize_client *client, const struct authorize_sender *author,
                      const char *field, const struct directory_grant *grant, struct authorize_decision *out)
{
    const struct question question = {arena, client, author, NULL, {"", 0}};
    char id[ID_TEXT_SIZE];

    if (grant ? permits_sender(&question, grant) : author->owned)
        allow(out, AUTHORIZE_ALLOWED, grant ? "grant" : "author-owned");
    else if (grant)
        refuse(out, AUTHORIZE_DENIED, "author-not-granted", 550, "5.7.1",
               arena_printf(arena, "%.*s may not send in the name of <%.*s> (%s): grant %s permits %s",
                            SLICE_ARG(client->account->address), SLICE_ARG(author->address), field,
                            id_print(grant->id, id), senders_in_words(&question, grant)));
    else
        refuse(
            out, AUTHORIZE_DENIED, "author-not-owned", 550, "5.7.1",
            arena_printf(arena,
                         "%.*s may not send in the name of <%.*s> (%s); it may send as its own address and its aliases",
                         SLICE_ARG(client->account->address), SLICE_ARG(author->address), field));
    out->grant = grant;
}

/* ------------------------------------------------------------------ RCPT */

bool authorize_needs_grant(const struct authorize_client *client, const struct directory_recipient *recipient)
{
    bool asks = recipient->has_expansion && recipient->expansion.senders == DIRECTORY_POSTERS_CUSTOMER;

    return client->role == AUTHORIZE_MX && (!recipient->has_domain || asks);
}

/* Outside is reached by permission only: an account's, or a network's. */
static void decide_outside(struct arena *arena, const struct authorize_client *client,
                           const struct authorize_sender *sender, struct slice address, struct authorize_decision *out)
{
    const struct directory_network *network = client->network;

    if (client->account) {
        allow(out, AUTHORIZE_OUTSIDE, "account");
        return;
    }
    if (!network) {
        refuse(out, AUTHORIZE_DENIED, "relay-denied", 550, "5.7.1",
               arena_printf(arena, "<%.*s>: relaying denied: %s is not in a network that may relay through this server",
                            SLICE_ARG(address), client->address));
        return;
    }
    if (!network->customer_active) {
        refuse(out, AUTHORIZE_DENIED, "network-suspended", 550, "5.7.1",
               arena_printf(arena, "<%.*s>: relaying denied: relaying from the network of %s is suspended",
                            SLICE_ARG(address), client->address));
        return;
    }
    if (sender->address.n && sender->customer_id != network->customer_id) {
        refuse(out, AUTHORIZE_DENIED, "sender-not-granted", 550, "5.7.1",
               arena_printf(arena,
                            "<%.*s>: relaying denied: the network of %s may send as addresses in its customer's "
                            "domains, and <%.*s> is none",
                            SLICE_ARG(address), client->address, SLICE_ARG(sender->address)));
        return;
    }
    allow(out, AUTHORIZE_OUTSIDE, "network");
}

/* May it go to an alias or a group at all?  Whom that is, is found out next. */
static void decide_expansion(struct arena *arena, const struct authorize_client *client,
                             const struct authorize_sender *sender, struct slice address,
                             const struct directory_recipient *recipient, struct authorize_decision *out)
{
    if (!recipient->domain.customer_active)
        refuse(out, AUTHORIZE_DENIED, "domain-suspended", 550, "5.2.1",
               arena_printf(arena, "<%.*s>: mail for this domain is suspended", SLICE_ARG(address)));
    else if (resolve_may_post(client, sender, &recipient->expansion))
        allow(out, AUTHORIZE_EXPANDED,
              recipient->expansion.srs         ? "srs"
              : recipient->expansion.group     ? "group"
              : recipient->expansion.catch_all ? "catch-all"
                                               : "alias");
    else /* RFC 3463: X.7.2, mailing list expansion prohibited */
        refuse(out, AUTHORIZE_DENIED, "group-closed", 550, "5.7.2",
               arena_printf(arena, "<%.*s>: only %s may send to this group", SLICE_ARG(address),
                            recipient->expansion.senders == DIRECTORY_POSTERS_MEMBERS ? "its members"
                                                                                      : "its customer's users"));
}

void authorize_recipient(struct arena *arena, const struct authorize_client *client,
                         const struct authorize_sender *sender, struct slice address, bool literal,
                         const struct directory_recipient *recipient, struct authorize_decision *out)
{
    if (client->role == AUTHORIZE_SUBMISSION && !client->account) {
        refuse(out, AUTHORIZE_DENIED, "not-authenticated", 530, "5.7.0", "Authentication required");
        return;
    }
    const struct question question = {arena, client, sender, recipient, address};
    const struct directory_grant *grant = NULL;
    bool held = false;
    if (client->grants.count && (client->account || !recipient->has_domain)) {
        grant = choose(&question, out, &held);
        if (!grant)
            return;
    }
    if (!recipient->has_domain) {
        if (grant)
            allow(out, AUTHORIZE_OUTSIDE, "grant");
        else
            decide_outside(arena, client, sender, address, out);
        if (out->verdict == AUTHORIZE_OUTSIDE && literal && !client->literals)
            refuse(out, AUTHORIZE_DENIED, "address-literal", 550, "5.1.2",
                   arena_printf(arena, "<%.*s>: mail to address literals is not relayed", SLICE_ARG(address)));
        else
            take(&question, grant, held, out);
        return;
    }
    if (recipient->has_expansion)
        decide_expansion(arena, client, sender, address, recipient, out);
    else
        authorize_delivery(arena, address, recipient, out);
    take(&question, grant, held, out);
}
