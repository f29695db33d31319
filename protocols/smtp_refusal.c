/*
 * smtp_refusal: a decision against a sender or a recipient becomes a reply.
 *
 * The text says why, for the person who reads it in a bounce.  Behind it stands the id of this one decision, by which
 * GET /v1/decisions/ID tells who asked what, which grant or limit decided, and when: "... (decision 04ssdk6pc0h01)".
 * Refusals that are no decision about anybody's permission (syntax, order, content) carry no id; neither do those
 * beyond the rate that storage/decision.h notes.
 */
#define LOG_MODULE "smtp"
#include "core/id.h"
#include "core/log.h"
#include "protocols/smtp_session.h"
#include "storage/decision.h"

static void answer(struct smtp_session *session, const char *command, struct slice recipient, unsigned cell,
                   const struct authorize_decision *decision, unsigned tarpit_ms)
{
    const struct permit *permit = &session->transaction->permit;
    const struct directory_grant *grant = decision->grant;
    char text[ID_TEXT_SIZE];
    int64_t id = decision_note(&(struct decision){
        .cell = grant                    ? grant->cell
                : session->authenticated ? session->account.cell
                                         : cell,
        .command = slice_str(command),
        .client = slice_str(session->peer),
        .account_id = session->authenticated ? session->account.id : 0,
        .tls = permit->tls,
        .certificate = permit->certificate.n ? permit->certificate : slice_of(NULL, 0),
        .sender = permit->sender,
        .recipient = recipient,
        .size = permit->size,
        .verdict = slice_str(authorize_verdict_word(decision->verdict)),
        .reason = slice_str(decision->reason),
        .grant_id = grant ? grant->id : 0,
        .limit = slice_str(decision->limit),
        .code = decision->code,
        .enhanced = slice_str(decision->enhanced),
        .text = slice_str(decision->text),
        .tarpit_ms = tarpit_ms,
    });

    if (id)
        smtp_reply(session, decision->code, decision->enhanced, "%s (decision %s)", decision->text, id_print(id, text));
    else
        smtp_reply(session, decision->code, decision->enhanced, "%s", decision->text);
}

void smtp_refuse(struct smtp_session *session, const char *command, struct slice recipient, unsigned cell,
                 const struct authorize_decision *decision)
{
    answer(session, command, recipient, cell, decision, decision->code >= 500 ? smtp_screen_tarpit(session) : 0);
}

void smtp_refuse_too_big(struct smtp_session *session)
{
    struct smtp_transaction *transaction = session->transaction;
    const struct directory_grant *grant = NULL;
    struct authorize_decision decision;

    for (const struct smtp_recipient *r = transaction->recipients; r && !grant; r = r->next)
        if (r->grant && r->grant->size_max == transaction->size_max)
            grant = r->grant;
    authorize_too_big(session->command, grant, transaction->size_max, &decision);
    transaction->permit.size = transaction->size;
    answer(session, "DATA", slice_of(NULL, 0), 0, &decision, 0);
}
