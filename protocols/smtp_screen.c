/*
 * smtp_screen: what port 25 asks of strangers, beyond what relay/authorize.c asks of everybody.
 *
 * How much a client may send in a minute is counted for each MAIL and each RCPT, whatever becomes of them, so that it also limits who
 * only guesses at addresses.  The refusal is temporary: an honest server that has too much for once comes again.
 */
#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"

static void refuse_rate(struct smtp_session *session, const char *command, struct slice recipient, const char *what,
                        const char *limit)
{
    struct authorize_decision decision = {
        .verdict = AUTHORIZE_DENIED,
        .reason = "client-rate",
        .code = 451,
        .enhanced = "4.7.1",
        .limit = limit,
    };

    decision.text = arena_printf(session->command, "Too many %s from %s within a minute, try again later", what,
                                 session->server.client.address);
    log_info("client refused", log_str("reason", decision.reason), log_str("limit", limit));
    smtp_counters.refused[SMTP_REFUSED_RATE]++;
    smtp_refuse(session, command, recipient, 0, &decision);
}

bool smtp_screen_message(struct smtp_session *session)
{
    if (session->role != SMTP_ROLE_MX || limit_message(&session->server.client))
        return true;
    refuse_rate(session, "MAIL", slice_of(NULL, 0), "messages", "messages_per_minute");
    return false;
}

bool smtp_screen_recipient(struct smtp_session *session, struct slice address)
{
    if (session->role != SMTP_ROLE_MX || limit_recipient(&session->server.client))
        return true;
    refuse_rate(session, "RCPT", address, "recipients", "recipients_per_minute");
    return false;
}
