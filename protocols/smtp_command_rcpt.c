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
 * What was accepted is decided for good here: end of data does not look again.
 */
#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"
#include "storage/queue.h"

/* What the verdict means for the recipient's one or two rows.  False: the verdict is a refusal. */
static bool fill_in(const struct smtp_session *session, const struct directory_recipient *found,
                    const struct authorize_decision *decision, struct slice domain, struct smtp_recipient *out)
{
    const struct smtp_transaction *transaction = session->transaction;
    struct arena *arena = session->transaction_arena;

    out->verdict = decision->verdict;
    out->reason = decision->reason;
    out->grant = decision->grant;
    out->customer_id = found->domain.customer_id;
    out->cell = found->domain.cell;
    switch (decision->verdict) {
    case AUTHORIZE_MAILBOX:
        out->mailbox_id = found->account.inbox_id;
        out->account_id = found->account.id;
        return true;
    case AUTHORIZE_RELAY:
        out->domain_id = found->domain.id;
        out->destination = queue_destination_domain(arena, found->domain.id);
        out->waiting = found->domain.outage_id != 0;
        out->account_id = found->has_account ? found->account.id : 0;
        /* While its server is away the customer reads it here, from now on. */
        out->mailbox_id = out->waiting && found->has_account ? found->account.inbox_id : 0;
        return true;
    case AUTHORIZE_OUTSIDE:
        out->customer_id = permit_outside_customer(&transaction->permit, decision, &out->cell);
        out->destination =
            session->settings->default_route ? QUEUE_DESTINATION_DEFAULT : queue_destination_mx(arena, domain);
        return true;
    case AUTHORIZE_ALLOWED:
    case AUTHORIZE_UNKNOWN:
    case AUTHORIZE_DENIED: break;
    }
    return false;
}

/* The same mailbox, or the same address on its way: one copy is enough.  Local parts of others' are theirs to compare. */
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
    if (++session->refused > session->settings->recipients_max)
        smtp_reply_goodbye(session, 421, "4.7.0", "Too many refused recipients");
    else
        smtp_refuse(session, "RCPT", address, cell, decision);
}

static AWAITS void rcpt(struct smtp_session *session)
{
    struct smtp_transaction *transaction = session->transaction;
    struct arena *arena = session->transaction_arena;
    struct authorize_decision decision;
    struct smtp_path path;

    const struct smtp_fault *fault = smtp_parse_rcpt(session->command, session->line.arguments, &path);
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

    bool bare = !path.domain.n; /* our own, whether the directory knows it or not: never to be sent on */
    if (bare) {
        path.domain = slice_str(session->settings->hostname);
        path.address = slice_str(arena_printf(session->command, "postmaster@%s", session->settings->hostname));
    }
    struct permit_recipient asked = {path.address, path.domain, path.literal, bare, transaction->recipient_count, {0}};
    if (!permit_recipient(session->command, &transaction->permit, &asked, &decision)) {
        smtp_reply(session, 451, "4.3.0", "Temporary lookup failure, try again later");
        return;
    }

    struct smtp_recipient recipient = {.address = path.address};
    if (!fill_in(session, &asked.found, &decision, path.domain, &recipient)) {
        refuse(session, path.address, recipient.cell, &decision);
        return;
    }
    if (decision.grant && decision.grant->size_max && decision.grant->size_max < transaction->size_max)
        transaction->size_max = decision.grant->size_max;
    if (!is_duplicate(transaction, &recipient)) {
        recipient.address = arena_slice(arena, path.address);
        *transaction->tail = arena_memdup(arena, &recipient, sizeof(recipient));
        transaction->tail = &(*transaction->tail)->next;
        transaction->recipient_count++;
    }
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
