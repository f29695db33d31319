/*
 * smtp_command_mail: MAIL opens a transaction.
 *
 *     mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF        (RFC 5321 4.1.1.2)
 *
 * On port 25 any sender will do, and nothing is looked up.  A submission's sender must be the account's own; the
 * account is looked up anew for each message, so that a suspension takes effect in sessions that are open.
 */
#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_session.h"

static void reply_unavailable(struct smtp_session *session)
{
    smtp_session_reset(session);
    smtp_reply(session, 451, "4.3.0", "Temporary lookup failure, try again later");
}

/* Refreshes the account; tells whether the sender is one of its addresses. */
static AWAITS enum db_status look_up_sender(struct smtp_session *session, struct slice sender, bool *owned)
{
    struct directory_recipient found;
    struct directory_account fresh;
    enum db_status status;

    *owned = false;
    if (sender.n) {
        status = directory_recipient(session->command, sender, &found);
        *owned = status == DB_FOUND && found.has_account && found.account.id == session->account.id;
        if (*owned)
            session->account.active = found.account.active;
        return status;
    }
    status = directory_account(session->command, session->account.address, &fresh);
    session->account.active = status == DB_FOUND && fresh.id == session->account.id && fresh.active;
    return status;
}

static void conclude(struct smtp_session *session, bool owned)
{
    struct authorize_client client = smtp_session_client(session);
    struct authorize_sender sender = {session->transaction->sender.address, owned, 0};
    struct authorize_decision decision;

    authorize_sender(session->command, &client, &sender, &decision);
    if (decision.verdict != AUTHORIZE_ALLOWED) {
        log_info("sender refused", log_slice("sender", sender.address), log_str("reason", decision.reason));
        smtp_session_reset(session);
    }
    smtp_reply(session, decision.code, decision.enhanced, "%s", decision.text);
}

/* Submission: in a task. */
static AWAITS void mail(struct smtp_session *session)
{
    bool owned;

    switch (look_up_sender(session, session->transaction->sender.address, &owned)) {
    case DB_FAILED: reply_unavailable(session); return;
    case DB_FOUND:
    case DB_NONE: conclude(session, owned); return;
    }
}

void smtp_command_mail(struct smtp_session *session, struct slice arguments)
{
    struct smtp_mail parsed;

    if (!session->greeted) {
        smtp_reply_error(session, 503, "5.5.1", "EHLO first");
        return;
    }
    if (session->transaction) {
        smtp_reply_error(session, 503, "5.5.1", "A transaction is open already");
        return;
    }
    if (session->role == SMTP_ROLE_SUBMISSION && !session->authenticated) {
        smtp_reply_error(session, 530, "5.7.0", "Authentication required");
        return;
    }
    arena_reset(session->transaction_arena);
    const struct smtp_fault *fault =
        smtp_parse_mail(session->transaction_arena, arguments, session->role == SMTP_ROLE_SUBMISSION, &parsed);
    if (fault) {
        smtp_reply_fault(session, fault);
        return;
    }
    /* RFC 1870 section 6.1: say so before the message is sent. */
    if (parsed.size > session->settings->message_size_max) {
        smtp_reply(session, 552, "5.3.4", "Message too big; the limit is %llu octets",
                   (unsigned long long)session->settings->message_size_max);
        return;
    }

    struct smtp_transaction *transaction = arena_alloc(session->transaction_arena, sizeof(*transaction));
    transaction->sender = parsed.sender;
    transaction->eight_bit = parsed.eight_bit;
    transaction->tail = &transaction->recipients;
    session->transaction = transaction;
    if (session->role == SMTP_ROLE_SUBMISSION)
        smtp_session_run(session, mail);
    else
        conclude(session, false);
}
