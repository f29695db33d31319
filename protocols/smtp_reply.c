/*
 * smtp_reply: replies, gathered.
 *
 * Replies go into a buffer of the session; the session sends it when no further command is at hand,
 * so that a pipelined group is answered in one write (RFC 2920 section 3.2).
 *
 *     Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
 *
 * A reply line has at most 512 octets (RFC 5321 4.5.3.1.5); a longer text, which only an address of the client's can
 * make, is broken into several lines, but not within what stands for a character.  What we print of a client's input
 * was parsed: it has no control characters.  An address that is not ASCII is shown as RFC 6533 writes it, "\x{3B4}":
 * RFC 6531 3.7.4.2 forbids UTF-8 in all replies but a few that we never give.
 */
#include <event2/buffer.h>

#define LOG_MODULE "smtp"
#include "core/idn.h"
#include "core/log.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"

#define TEXT_MAX 480
#define ESCAPE_MAX 10 /* "\x{10FFFF}" */

/* How much of it goes into one line. */
static size_t line_length(struct slice text)
{
    if (text.n <= TEXT_MAX)
        return text.n;
    for (size_t n = TEXT_MAX - 1; n > TEXT_MAX - ESCAPE_MAX; n--) {
        size_t rest = text.n - n < ESCAPE_MAX ? text.n - n : ESCAPE_MAX;
        const char *end = text.p[n] == '\\' && text.p[n + 1] == 'x' ? memchr(text.p + n, '}', rest) : NULL;

        if (end && end >= text.p + TEXT_MAX)
            return n;
    }
    return TEXT_MAX;
}

void smtp_reply(struct smtp_session *session, unsigned code, const char *enhanced, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    struct slice text = idn_escape(session->command, slice_str(arena_vprintf(session->command, format, args)));
    va_end(args);
    do {
        size_t n = line_length(text);
        evbuffer_add_printf(session->replies, "%03u%c%s%s%.*s\r\n", code, n < text.n ? '-' : ' ',
                            enhanced ? enhanced : "", enhanced ? " " : "", (int)n, text.p);
        text = slice_skip(text, n);
    } while (text.n);
}

void smtp_reply_lines(struct smtp_session *session, unsigned code, const char *const *lines, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        evbuffer_add_printf(session->replies, "%03u%c%s\r\n", code, i + 1 < count ? '-' : ' ', lines[i]);
}

void smtp_reply_error(struct smtp_session *session, unsigned code, const char *enhanced, const char *text)
{
    if (++session->errors > session->settings->errors_max) {
        log_info("too many bad commands", log_int("errors", session->errors));
        smtp_counters.refused[SMTP_REFUSED_ERRORS] += session->role == SMTP_ROLE_MX;
        smtp_screen_end(session, "errors", "errors_max", "Too many errors, closing connection");
        return;
    }
    smtp_reply(session, code, enhanced, "%s", text);
}

void smtp_reply_fault(struct smtp_session *session, const struct smtp_fault *fault)
{
    smtp_reply_error(session, fault->code, fault->enhanced, fault->text);
}

void smtp_reply_goodbye(struct smtp_session *session, unsigned code, const char *enhanced, const char *text)
{
    smtp_reply(session, code, enhanced, "%s %s", session->settings->hostname, text);
    session->closing = true;
}
