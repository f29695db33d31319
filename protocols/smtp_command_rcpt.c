/*
 * smtp_command_rcpt: RCPT names one recipient.  The whole of it is rcpt(), below: parse, look up, decide,
 * remember, answer; it runs in a task and may wait for the directory.
 *
 *     rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP Rcpt-parameters] CRLF
 *                                                                              (RFC 5321 4.1.1.3)
 *
 * <Postmaster> without a domain (section 4.5.1) is postmaster at our own host name: an administrator makes that
 * address an account or an alias like any other.
 *
 * One RCPT may come to several targets: an alias or a group (relay/resolve.h).  They are found here, and each has a
 * place in the transaction's list; the address that the client named stays with them.
 *
 * Then a stranger may have to answer for himself (smtp_screen.c), by the policy of the recipient's domain; and only for
 * who has passed a primary is asked whether the recipient exists.
 *
 * Last DNS is asked whether the domains of sender and recipient take mail at all (relay/null_mx.h), and of a large
 * message whether a next hop takes it (relay/next_size.h).
 *
 * What was accepted is decided for good here: end of data does not look again.
 */
#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"
#include "relay/next_size.h"
#include "relay/null_mx.h"
#include "relay/outgoing.h"
#include "relay/srs_way.h"
#include "storage/queue.h"

#define TARGETS_MAX 10000 /* of one message, whatever its aliases and groups come to */

/* What the verdict means for a target's one or two rows. */
static struct smtp_recipient fill_in(const struct smtp_session *session, const struct authorize_decision *decision,
                                     const struct resolve_target *target, const struct smtp_path *path,
                                     const struct outgoing *way)
{
    struct arena *arena = session->transaction_arena;
    const struct directory_recipient *found = &target->found;
    struct smtp_recipient out = {
        .address = target->address,
        .expanded = target->address.p != path->address.p, /* also by an alias domain */
        .verdict = target->verdict,
        .reason = decision->reason,
        .grant = decision->grant,
        .held_limit = decision->held ? decision->limit : NULL,
        .customer_id = found->domain.customer_id,
        .cell = found->domain.cell,
    };

    switch (target->verdict) {
    case AUTHORIZE_MAILBOX:
        out.mailbox_id = found->account.inbox_id;
        out.account_id = found->account.id;
        break;
    case AUTHORIZE_RELAY:
        out.domain_id = found->domain.id;
        out.destination = queue_destination_domain(arena, found->domain.id);
        out.waiting = found->domain.outage_id != 0;
        out.account_id = found->has_account ? found->account.id : 0;
        /* While its server is away the customer reads it here, from now on. */
        out.mailbox_id = out.waiting && found->has_account ? found->account.inbox_id : 0;
        break;
    case AUTHORIZE_OUTSIDE:
        out.customer_id = permit_outside_customer(&session->transaction->permit, decision, target, &out.cell);
        out.destination = way->destination;
        break;
    case AUTHORIZE_ALLOWED:
    case AUTHORIZE_EXPANDED:
    case AUTHORIZE_UNKNOWN:
    case AUTHORIZE_DENIED: break; /* no verdict of a target */
    }
    return out;
}

/*
 * The same mailbox, or the same address on its way: one copy is enough.  Local parts of others' are theirs to compare.
 */
static bool is_duplicate(const struct smtp_transaction *transaction, const struct smtp_recipient *recipient)
{
    for (const struct smtp_recipient *other = transaction->recipients; other; other = other->next) {
        if (other->verdict != recipient->verdict)
            continue;
        if (recipient->verdict == AUTHORIZE_MAILBOX ? other->mailbox_id == recipient->mailbox_id
                                                    : slice_equal(other->address, recipient->address))
            return true;
    }
    return false;
}

static void refuse(struct smtp_session *session, struct slice address, unsigned cell,
                   const struct authorize_decision *decision)
{
    if (decision->verdict == AUTHORIZE_UNKNOWN)
        smtp_counters.recipients_unknown++;
    else
        smtp_counters.recipients_denied++;
    log_info("recipient refused", log_slice("recipient", address),
             log_slice("sender", session->transaction->sender.address), log_str("reason", decision->reason));
    /* As many as one honest message may have; more is guessing at addresses. */
    if (++session->refused <= session->settings->recipients_max) {
        smtp_refuse(session, "RCPT", address, cell, decision);
        return;
    }
    log_info("too many refused recipients", log_int("refused", session->refused));
    smtp_counters.refused[SMTP_REFUSED_RECIPIENTS] += session->role == SMTP_ROLE_MX;
    smtp_screen_end(session, "refused-recipients", "recipients_max", "Too many refused recipients");
}

/*
 * What the targets inherit of what was asked for their alias, RFC 3461 5.2.7.2 and 5.2.7.3 (c).  True: success is told
 * of the alias, when it is expanded, and not of its targets.
 */
static bool expand_wishes(struct arena *arena, unsigned targets, struct envelope_rcpt *envelope)
{
    bool success = envelope->notify & ENVELOPE_NOTIFY_SUCCESS;

    if (envelope->orcpt.p)
        envelope->orcpt = arena_slice(arena, envelope->orcpt);
    if (targets < 2 || !success)
        return false;
    envelope->notify &= ~(unsigned)ENVELOPE_NOTIFY_SUCCESS;
    if (!envelope->notify) /* nothing else was asked for: absent would be more */
        envelope->notify = ENVELOPE_NOTIFY_NEVER;
    return true;
}

/* Which way those go that are outside, one for each target; NULL: it could not be found out. */
static AWAITS struct outgoing *find_ways(struct smtp_session *session, const struct permit_recipient *asked,
                                         const struct authorize_decision *decision, struct slice domain)
{
    struct outgoing *ways = arena_array(session->command, asked->target_count, sizeof *ways);

    for (unsigned i = 0; i < asked->target_count; i++) {
        if (asked->targets[i].verdict != AUTHORIZE_OUTSIDE)
            continue;
        struct route_rule_mail mail =
            outgoing_mail(&session->transaction->permit, decision, &asked->targets[i], domain);
        if (!outgoing_find(session->transaction_arena, &mail, session->settings->default_route, &ways[i]))
            return NULL;
    }
    return ways;
}

/* Each target that the message does not go to already. */
static void remember(struct smtp_session *session, const struct permit_recipient *asked, const struct outgoing *ways,
                     const struct authorize_decision *decision, const struct smtp_path *path,
                     struct slice forwarded_by, struct envelope_rcpt *envelope)
{
    struct smtp_transaction *transaction = session->transaction;
    struct arena *arena = session->transaction_arena;
    struct slice original = {NULL, 0};
    bool tell_expanded = expand_wishes(arena, asked->target_count, envelope);

    for (unsigned i = 0; i < asked->target_count; i++) {
        struct smtp_recipient recipient = fill_in(session, decision, &asked->targets[i], path, &ways[i]);

        if (is_duplicate(transaction, &recipient))
            continue;
        recipient.first = !original.p;
        recipient.tell_expanded = recipient.first && tell_expanded;
        recipient.envelope = *envelope;
        if (srs_way_forwards(&asked->targets[i]))
            recipient.envelope.forwarded_by = forwarded_by;
        if (!original.p)
            original = arena_slice(arena, path->address);
        recipient.original = original;
        recipient.address = recipient.expanded ? arena_slice(arena, recipient.address) : original;
        *transaction->tail = arena_memdup(arena, &recipient, sizeof(recipient));
        transaction->tail = &(*transaction->tail)->next;
        transaction->target_count++;
    }
    transaction->recipient_count += original.p != NULL;
}

/* Under which domain what it forwards goes out.  False: it could not be asked. */
static AWAITS bool find_forwarder(struct smtp_session *session, const struct permit_recipient *asked,
                                  struct slice *domain)
{
    *domain = slice_of("", 0);
    for (unsigned i = 0; i < asked->target_count; i++)
        if (srs_way_forwards(&asked->targets[i]))
            return srs_way_domain(session->command, &session->transaction->permit, asked, domain);
    return true;
}

/* RFC 7505: does the sender's or the recipient's domain take no mail? */
static AWAITS bool null_mx(struct smtp_session *session, const struct permit_recipient *asked,
                           struct authorize_decision *decision)
{
    const struct server_settings *settings = session->settings;
    struct permit *permit = &session->transaction->permit;

    if (settings->refuse_null_mx_senders &&
        null_mx_refuses_sender(session->command, permit, asked, settings->dns_wait_ms, decision)) {
        smtp_counters.refused[SMTP_REFUSED_NULL_MX]++;
        return true;
    }
    return null_mx_refuses_recipient(session->command, permit, asked, settings->default_route, settings->dns_wait_ms,
                                     decision);
}

/* Does a next hop take as much as MAIL has said?  False, and answered: none does, or it could not be asked. */
static AWAITS bool fits(struct smtp_session *session, struct permit_recipient *asked,
                        struct authorize_decision *decision)
{
    const struct permit *permit = &session->transaction->permit;

    if (permit->size >= NEXT_SIZE_FLOOR &&
        !next_size_ask(session->command, permit, asked, decision, session->settings->default_route)) {
        smtp_reply(session, 451, "4.3.0", "Temporary lookup failure, try again later");
        return false;
    }
    if (!next_size_refuses(session->command, asked->address, permit->size, asked->size_most, decision))
        return true;
    refuse(session, asked->address, asked->found.domain.cell, decision);
    return false;
}

static AWAITS void rcpt(struct smtp_session *session)
{
    struct smtp_transaction *transaction = session->transaction;
    struct arena *arena = session->transaction_arena;
    struct authorize_decision decision;
    struct envelope_rcpt envelope;
    struct smtp_path path;

    const struct smtp_fault *fault =
        smtp_parse_rcpt(session->command, session->line.arguments, transaction->utf8, &path, &envelope);
    if (fault) {
        smtp_reply_fault(session, fault);
        return;
    }
    transaction->rcpt_seen = true;
    if (transaction->recipient_count >= session->settings->recipients_max) {
        smtp_reply(session, 452, "4.5.3", "Too many recipients; send the message again to the rest");
        return;
    }
    if (arena_full(arena)) {
        smtp_reply(session, 452, "4.3.1", "Out of memory for this transaction; send the message again to the rest");
        return;
    }

    if (!smtp_screen_recipient(session, path.address))
        return;
    bool bare = !path.domain.n; /* our own, whether the directory knows it or not: never to be sent on */
    if (bare) {
        path.domain = slice_str(session->settings->hostname);
        path.address = slice_str(arena_printf(session->command, "postmaster@%s", session->settings->hostname));
    }
    struct permit_recipient asked = {.address = path.address,
                                     .domain = path.domain,
                                     .literal = path.literal,
                                     .ours = bare,
                                     .before = transaction->recipient_count};
    if (!permit_recipient(session->command, &transaction->permit, &asked, &decision)) {
        smtp_reply(session, 451, "4.3.0", "Temporary lookup failure, try again later");
        return;
    }
    if (asked.target_count && !smtp_screen_client(session, &asked))
        return;
    permit_primary(session->command, &transaction->permit, &asked, &decision);
    if (!asked.target_count) {
        refuse(session, path.address, asked.found.domain.cell, &decision);
        return;
    }
    if (transaction->target_count + asked.target_count > TARGETS_MAX) {
        smtp_reply(session, 452, "4.5.3",
                   "Too many recipients behind these addresses; send the message again to the rest");
        return;
    }
    if (null_mx(session, &asked, &decision)) {
        refuse(session, path.address, asked.found.domain.cell, &decision);
        return;
    }
    if (!fits(session, &asked, &decision))
        return;
    struct outgoing *ways = find_ways(session, &asked, &decision, path.domain);
    struct slice forwarded_by;
    if (!ways || !find_forwarder(session, &asked, &forwarded_by)) {
        smtp_reply(session, 451, "4.3.0", "Temporary lookup failure, try again later");
        return;
    }
    if (decision.grant && decision.grant->size_max && decision.grant->size_max < transaction->size_max)
        transaction->size_max = decision.grant->size_max;
    remember(session, &asked, ways, &decision, &path, forwarded_by, &envelope);
    smtp_reply(session, decision.code, decision.enhanced, "%s", decision.text);
}

void smtp_command_rcpt(struct smtp_session *session, struct slice arguments)
{
    (void)arguments; /* rcpt() finds them in session->line */
    if (!session->transaction)
        smtp_reply_error(session, 503, "5.5.1", "MAIL first");
    else if (session->transaction->chunked)
        smtp_reply_error(session, 503, "5.5.1", "RCPT is not allowed after BDAT");
    else
        smtp_session_run(session, rcpt);
}
