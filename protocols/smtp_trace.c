/*
 * smtp_trace: the lines that we put before a message, RFC 5321 section 4.4.
 *
 *     Return-Path: <alice@example.test>
 *     Received: from client.example ([192.0.2.1])
 *      	by mx.example.test with ESMTPS
 *      	id 0k3v5w8t2r6qm for <bob@example.test>
 *      	tls TLS_AES_256_GCM_SHA384 (TLSv1.3);
 *      	Mon, 23 Nov 2026 20:25:14 +0000
 *
 * Each stored copy (one for each customer) has its own id, so each has its own lines.  "for" names the
 * recipient only when the transaction had a single one: else it would tell one recipient of the others
 * (section 7.6); and not one whose address would make the message one for SMTPUTF8 that it is not.
 *
 * The clause "tls" names the cipher suite as it is registered with IANA (RFC 8314 section 4.3).
 *
 * So does "PRIORITY" the priority that was asked for, or what became of it (RFC 6710 section 7).
 *
 * A submission may lack Date and Message-ID; they then follow, the same in all copies.  Behind them comes an empty line if
 * the message has no header that would end them: else its first lines were part of ours (smtp_header.c).
 *
 * The name after "from" is what the client called itself.  The grammar wants a domain or an address literal there; any
 * other word was accepted in EHLO (see smtp_parse.h), and is then replaced by the client's address.  What the client
 * is called in DNS (TCP-info) is shown if a proxy tells it (XCLIENT), or if a policy for strangers asked for it and it
 * leads back; for the sake of this line it is not looked up.
 */
#include <arpa/inet.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/idn.h"
#include "protocols/smtp_session.h"
#include "relay/smtp_address.h"

/* address-literal (section 4.1.3) of the client. */
static const char *client_literal(struct arena *arena, const struct smtp_session *session)
{
    const char *peer = session->peer;
    return arena_printf(arena, "[%s%s]", strchr(peer, ':') ? "IPv6:" : "", peer);
}

const char *smtp_trace_protocol(const struct smtp_session *session)
{
    static const char *const names[2][4] = {{"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"},
                                            {"UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"}};

    if (!session->esmtp || session->told_plain)
        return "SMTP";
    return names[session->transaction->utf8][2 * stream_is_tls(session->stream) + session->authenticated];
}

/*
 * Section 4.4 of RFC 5321 and 3.7.3 of RFC 6531: U-labels and the like only in a message that always goes with
 * SMTPUTF8.
 */
static bool may_name(const struct smtp_session *session, struct slice recipient)
{
    return recipient.n && (session->transaction->envelope.utf8 || idn_is_ascii(recipient));
}

static struct slice shown(struct arena *arena, const struct smtp_session *session, struct slice address)
{
    return session->transaction->envelope.utf8 ? idn_address_unicode(arena, address) : address;
}

struct slice smtp_trace(struct arena *arena, const struct smtp_session *session, int64_t id, int64_t now_ms,
                        struct slice recipient)
{
    const char *literal = client_literal(arena, session), *known_as = "", *tls = "", *for_clause = "", *priority = "";
    struct slice name = session->helo, sender = session->transaction->sender.address;
    char id_text[ID_TEXT_SIZE], date[CLOCK_RFC5322_SIZE];

    if (!smtp_is_domain(name) && !smtp_is_address_literal(name))
        name = slice_str(literal);
    if (session->client_name.n)
        known_as = arena_printf(arena, "%.*s ", SLICE_ARG(session->client_name));
    else if (screen_dns_name(session->screen))
        known_as = arena_printf(arena, "%s ", screen_dns_name(session->screen));
    if (stream_is_tls(session->stream))
        tls = arena_printf(arena, "\r\n\ttls %s (%s)", stream_tls_cipher(session->stream),
                           stream_tls_version(session->stream));
    if (session->transaction->envelope.has_priority) /* RFC 6710 section 7 */
        priority = arena_printf(arena, "\r\n\tPRIORITY %d", session->transaction->envelope.priority);
    if (may_name(session, recipient)) {
        recipient = shown(arena, session, recipient);
        for_clause = arena_printf(arena, " for <%.*s>", SLICE_ARG(recipient));
    }
    sender = shown(arena, session, sender);
    return slice_str(arena_printf(arena,
                                  "Return-Path: <%.*s>\r\n"
                                  "Received: from %.*s (%s%s)\r\n"
                                  "\tby %s with %s\r\n"
                                  "\tid %s%s%s%s;\r\n"
                                  "\t%s\r\n",
                                  SLICE_ARG(sender), SLICE_ARG(name), known_as, literal, session->settings->hostname,
                                  smtp_trace_protocol(session), id_print(id, id_text), for_clause, tls, priority,
                                  clock_rfc5322(now_ms, date)));
}

struct slice smtp_trace_missing(struct arena *arena, const struct smtp_session *session, int64_t id, int64_t now_ms)
{
    const struct smtp_fields *fields = &session->transaction->fields;
    const char *message_id = "", *date_line = "", *end = session->transaction->header.missing ? "\r\n" : "";
    char id_text[ID_TEXT_SIZE], date[CLOCK_RFC5322_SIZE];

    if (session->role != SMTP_ROLE_SUBMISSION)
        return slice_str(end);
    if (!fields->message_id)
        message_id = arena_printf(arena, "Message-ID: <%s@%s>\r\n", id_print(id, id_text), session->settings->hostname);
    if (!fields->date)
        date_line = arena_printf(arena, "Date: %s\r\n", clock_rfc5322(now_ms, date));
    return slice_str(arena_printf(arena, "%s%s%s", date_line, message_id, end));
}
