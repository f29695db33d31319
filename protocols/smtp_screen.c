/*
 * smtp_screen: what port 25 asks of strangers, beyond what relay/authorize.c asks of everybody.
 *
 * DNS is asked about a client when it comes, if any policy wants to know (relay/screen_client.h); the answers are
 * there when its first recipient needs them, or RCPT waits a little.  Each recipient is judged by the policy of its
 * own domain, after it was found to exist.
 *
 * How much a client may send in a minute is counted for each MAIL and each RCPT, whatever becomes of them, so that it
 * also limits who only guesses at addresses.  The refusal is temporary: an honest server that has too much for once
 * comes again.
 *
 * Who collects refusals waits longer for each (tarpit): the answer is held back by a timer, which costs no task.
 */
#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"
#include "relay/screen_client.h"

/* from: the address or the network that has sent so much. */
static void refuse_rate(struct smtp_session *session, const char *command, struct slice recipient, const char *what,
                        const char *from, const char *limit)
{
    struct authorize_decision decision = {
        .verdict = AUTHORIZE_DENIED,
        .reason = "client-rate",
        .code = 451,
        .enhanced = "4.7.1",
        .limit = limit,
    };

    decision.text = arena_printf(session->command, "Too many %s from %s within a minute, try again later", what, from);
    log_info("client refused", log_str("reason", decision.reason), log_str("limit", limit));
    smtp_counters.refused[SMTP_REFUSED_RATE]++;
    smtp_refuse(session, command, recipient, 0, &decision);
}

bool smtp_screen_message(struct smtp_session *session)
{
    const struct limit_client *client = &session->server.client;

    if (session->role != SMTP_ROLE_MX)
        return true;
    if (!limit_address_message(client))
        refuse_rate(session, "MAIL", slice_of(NULL, 0), "messages", client->address, "messages_per_minute");
    else if (!limit_network_message(client))
        refuse_rate(session, "MAIL", slice_of(NULL, 0), "messages", "your network", "network_messages_per_minute");
    else
        return true;
    return false;
}

bool smtp_screen_recipient(struct smtp_session *session, struct slice address)
{
    const struct limit_client *client = &session->server.client;

    if (session->role != SMTP_ROLE_MX)
        return true;
    if (!limit_address_recipient(client))
        refuse_rate(session, "RCPT", address, "recipients", client->address, "recipients_per_minute");
    else if (!limit_network_recipient(client))
        refuse_rate(session, "RCPT", address, "recipients", "your network", "network_recipients_per_minute");
    else
        return true;
    return false;
}

void smtp_screen_not_served(struct smtp_session *session)
{
    smtp_counters.connections_refused++;
    smtp_reply_goodbye(session, 421, session->server.refusal == SERVER_DRAINING ? "4.3.2" : "4.7.0",
                       server_refuse(&session->server, session->command));
}

void smtp_screen_early_talker(struct smtp_session *session)
{
    const char *text = "You spoke before the greeting";

    log_info("connection refused", log_str("reason", "early-talker"));
    smtp_counters.connections_refused++;
    smtp_counters.refused[SMTP_REFUSED_EARLY_TALKER]++;
    smtp_reply_goodbye(
        session, 554, "5.5.1",
        server_note_refusal(&session->server, session->command, "early-talker", NULL, 554, "5.5.1", text));
}

void smtp_screen_end(struct smtp_session *session, const char *reason, const char *limit, const char *text)
{
    smtp_reply_goodbye(session, 421, "4.7.0",
                       server_note_refusal(&session->server, session->command, reason, limit, 421, "4.7.0", text));
}

/* ------------------------------------------------------------------ who it is */

void smtp_screen_begin(struct smtp_session *session)
{
    screen_dns_free(&session->screen);
    if (session->role == SMTP_ROLE_MX && session->registered)
        session->screen = screen_client_begin(session->peer);
}

static enum smtp_refused counter_of(const struct authorize_decision *decision)
{
    static const struct {
        const char *reason;
        enum smtp_refused counter;
    } reasons[] = {{"dns-list", SMTP_REFUSED_DNS_LIST},
                   {"reverse-name", SMTP_REFUSED_REVERSE_NAME},
                   {"reverse-name-unknown", SMTP_REFUSED_REVERSE_NAME},
                   {"greylisted", SMTP_REFUSED_GREYLIST}};

    for (unsigned i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (strcmp(decision->reason, reasons[i].reason) == 0)
            return reasons[i].counter;
    return SMTP_REFUSED_SCORE;
}

AWAITS bool smtp_screen_client(struct smtp_session *session, const struct permit_recipient *recipient)
{
    struct authorize_decision decision;
    struct screen_report report;

    if (session->role != SMTP_ROLE_MX)
        return true;
    switch (screen_client(session->command, &session->transaction->permit, recipient, &session->screen,
                          session->settings->dns_wait_ms, true, &report, &decision)) {
    case SCREEN_PASSED: return true;
    case SCREEN_FAILED: smtp_reply(session, 451, "4.3.0", "Temporary lookup failure, try again later"); return false;
    case SCREEN_REFUSED: break;
    }
    smtp_counters.refused[counter_of(&decision)]++;
    log_info("client refused", log_slice("recipient", recipient->address),
             log_slice("sender", session->transaction->sender.address), log_str("reason", decision.reason),
             log_int("score", report.score));
    smtp_refuse(session, "RCPT", recipient->address, recipient->found.domain.cell, &decision);
    return false;
}

/* ------------------------------------------------------------------ who is refused again and again */

unsigned smtp_screen_tarpit(struct smtp_session *session)
{
    unsigned ms = session->role == SMTP_ROLE_MX ? limit_refusal(&session->server.client) : 0;

    if (!ms)
        return 0;
    smtp_counters.tarpitted++;
    log_info("answer held back", log_str("reason", "tarpit"), log_int("ms", ms));
    smtp_session_hold(session, ms);
    return ms;
}
