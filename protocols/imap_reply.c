/*
 * imap_reply: what goes back to the client.
 *
 * Untagged output is written at once.  The tagged response is only noted: it is the last line of a command, and what
 * others changed meanwhile is told before it (imap_session_finish()).
 *
 * When the client is gone the stream is NULL and all of this does nothing: a command runs to its end without caring.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/imap_session.h"
#include "protocols/imap_string.h"

void imap_write(struct imap_session *session, struct slice bytes)
{
    if (session->common.stream)
        stream_write(session->common.stream, bytes);
}

void imap_printf(struct imap_session *session, const char *format, ...)
{
    char small[1024], *text = small; /* not from the arena: a FETCH may call this a million times */
    va_list args;
    int n;

    if (!session->common.stream)
        return;
    va_start(args, format);
    n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n >= (int)sizeof small) {
        va_start(args, format);
        if (vasprintf(&text, format, args) < 0)
            abort();
        va_end(args);
    }
    stream_write(session->common.stream, slice_of(text, (size_t)n));
    if (text != small)
        free(text);
}

void imap_write_string(struct imap_session *session, struct slice text)
{
    char buffer[2 * IMAP_QUOTED_MAX + 2];
    struct slice quoted = imap_quoted(text, buffer);

    if (quoted.p)
        imap_write(session, quoted);
    else {
        imap_printf(session, "{%zu}\r\n", text.n);
        imap_write(session, text);
    }
}

void imap_reply(struct imap_session *session, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    session->reply = arena_vprintf(session->command, format, args);
    va_end(args);
}

void imap_bad(struct imap_session *session, const char *text)
{
    if (++session->errors > session->settings->errors_max)
        imap_bye(session, "Too many bad commands");
    imap_reply(session, "BAD %s", text);
}

bool imap_keep_tag(struct imap_session *session)
{
    if (session->tag.n > sizeof session->kept_tag) {
        imap_bad(session, "That tag is too long");
        return false;
    }
    memcpy(session->kept_tag, session->tag.p, session->tag.n);
    session->tag.p = session->kept_tag;
    return true;
}

void imap_unavailable(struct imap_session *session)
{
    imap_reply(session, "NO [UNAVAILABLE] The database is away, try again later");
}

void imap_bye(struct imap_session *session, const char *text)
{
    if (!session->common.closing && session->common.stream)
        stream_printf(session->common.stream, "* BYE %s\r\n", text);
    session->common.closing = true;
    session->common.produce = NULL;
}
