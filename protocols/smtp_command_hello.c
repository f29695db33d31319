/*
 * smtp_command_hello: EHLO, HELO and STARTTLS: how a session begins, and begins again.
 *
 * What EHLO lists is exactly what works.  AUTH is for submission only, and names what this client can use
 * (protocols/sasl_mechanism.c); STARTTLS is listed while there is a certificate and the connection is in clear,
 * REQUIRETLS under TLS.
 */
#include <event2/buffer.h>

#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_session.h"
#include "protocols/smtp_xclient.h"

#define KEYWORDS_MAX 32

static const char *auth_line(struct smtp_session *session)
{
    struct sasl_client client;

    smtp_auth_client(session, &client);
    return arena_printf(session->command, "AUTH %s", sasl_mechanisms(&client));
}

/* RFC 2645 5.1.1: what such a client may use. */
static void reply_ehlo_odmr(struct smtp_session *session)
{
    const char *lines[KEYWORDS_MAX];
    unsigned n = 0;

    lines[n++] = session->settings->hostname;
    lines[n++] = "ENHANCEDSTATUSCODES";
    if (!stream_is_tls(session->stream) && session->settings->tls)
        lines[n++] = "STARTTLS";
    lines[n++] = auth_line(session);
    lines[n++] = "ATRN";
    smtp_reply_lines(session, 250, lines, n);
}

static void reply_ehlo(struct smtp_session *session)
{
    const char *lines[KEYWORDS_MAX], *offer;
    unsigned n = 0;
    bool tls = stream_is_tls(session->stream);

    lines[n++] = session->settings->hostname;
    lines[n++] = "PIPELINING";
    lines[n++] = arena_printf(session->command, "SIZE %llu", (unsigned long long)session->settings->message_size_max);
    lines[n++] = "8BITMIME";
    lines[n++] = "ENHANCEDSTATUSCODES";
    lines[n++] = "CHUNKING";
    lines[n++] = "BINARYMIME";
    lines[n++] = "DSN";
    lines[n++] = "ETRN";
    lines[n++] = "SMTPUTF8";
    lines[n++] = "DELIVERBY"; /* RFC 2852: without a least time, as one second can be enough */
    /* RFC 9422: what rcpt() counts.  MAILMAX is not limited. */
    lines[n++] = arena_printf(session->command, "LIMITS RCPTMAX=%u", session->settings->recipients_max);
    lines[n++] = "MT-PRIORITY"; /* RFC 6710: no policy is named; each of the 19 values is one */
    if ((offer = smtp_hold_offer(session)))
        lines[n++] = offer;
    if (session->may_xclient)
        lines[n++] = "XCLIENT " SMTP_XCLIENT_ATTRIBUTES;
    if (!tls && !session->told && session->settings->tls)
        lines[n++] = "STARTTLS";
    if (tls) /* RFC 8689 section 2 */
        lines[n++] = "REQUIRETLS";
    if (session->role == SMTP_ROLE_SUBMISSION)
        lines[n++] = auth_line(session);
    smtp_reply_lines(session, 250, lines, n);
}

/*
 * ehlo = "EHLO" SP ( Domain / address-literal ) CRLF
 * helo = "HELO" SP Domain CRLF
 *
 * Both end a transaction that is under way (RFC 5321 4.1.4); who has signed in stays so.
 */
void smtp_command_hello(struct smtp_session *session, struct slice arguments, bool esmtp)
{
    struct slice name;
    const struct smtp_fault *fault = smtp_parse_helo(arguments, &name);

    if (fault) {
        smtp_reply_fault(session, fault);
        return;
    }
    if (arena_full(session->arena)) { /* thousands of EHLOs */
        smtp_reply_goodbye(session, 421, "4.7.0", "Too many greetings");
        return;
    }
    smtp_session_reset(session);
    session->greeted = true;
    session->esmtp = esmtp;
    session->helo = session->told_helo.n ? session->told_helo : slice_str(arena_slicedup(session->arena, name));
    if (esmtp)
        session->role == SMTP_ROLE_ODMR ? reply_ehlo_odmr(session) : reply_ehlo(session);
    else
        smtp_reply(session, 250, NULL, "%s", session->settings->hostname);
}

/* "STARTTLS" without argument (RFC 3207 section 4). */
void smtp_command_starttls(struct smtp_session *session, struct slice arguments)
{
    if (arguments.n) {
        smtp_reply_error(session, 501, "5.5.4", "STARTTLS takes no argument");
        return;
    }
    if (stream_is_tls(session->stream)) {
        smtp_reply_error(session, 503, "5.5.1", "TLS is active already");
        return;
    }
    if (session->told) {
        smtp_reply_error(session, 503, "5.5.1", "STARTTLS comes before XCLIENT");
        return;
    }
    if (!session->settings->tls) {
        smtp_reply_error(session, 502, "5.5.1", "STARTTLS is not available");
        return;
    }
    if (session->transaction) {
        smtp_reply_error(session, 503, "5.5.1", "STARTTLS is not allowed within a mail transaction");
        return;
    }
    smtp_reply(session, 220, "2.0.0", "Ready to start TLS");
    /* Commands that were sent along in clear are dropped by the stream; what the client told us goes in on_tls. */
    stream_write_buffer(session->stream, session->replies);
    stream_start_tls(session->stream, session->settings->tls);
}
