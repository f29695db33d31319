/*
 * smtp_client_body: dots doubled (RFC 5321 4.5.2), line ends made clean.
 *
 * A message is stored as it came, and what came may hold a bare LF or CR.  Sent on as they are, "LF . LF" would be the
 * end of the message to some servers, and what follows it a second message of the sender's making, from us
 * ("SMTP smuggling").  So a bare LF becomes CRLF, and a bare CR a space: RFC 5321 2.3.8 forbids to send either, and
 * the reader sees the same text.  Clean content, which is nearly all, passes unchanged but for the dots.
 */
#include "protocols/smtp_client_body.h"

size_t smtp_client_body_encode(struct smtp_client_body *body, struct slice in, char *out)
{
    char *to = out;

    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];

        if (body->cr && c != '\n') {
            *to++ = ' ';
            body->inside_line = true;
        }
        body->cr = c == '\r';
        if (c == '\r')
            continue;
        if (c == '\n') {
            *to++ = '\r';
            *to++ = '\n';
            body->inside_line = false;
            continue;
        }
        if (c == '.' && !body->inside_line && !body->chunked)
            *to++ = '.';
        *to++ = c;
        body->inside_line = true;
    }
    return (size_t)(to - out);
}

size_t smtp_client_body_end(struct smtp_client_body *body, char *out)
{
    char *to = out;

    if (body->cr || body->inside_line) {
        *to++ = '\r';
        *to++ = '\n';
    }
    if (!body->chunked) {
        memcpy(to, ".\r\n", 3);
        to += 3;
    }
    body->cr = body->inside_line = false;
    return (size_t)(to - out);
}

/* A line, its LF included if it has come.  A CR must stand before the LF, and nowhere else. */
static void count_line(struct smtp_client_body_size *size, struct slice line)
{
    bool ended = line.p[line.n - 1] == '\n';
    size_t n = ended ? line.n - 1 : line.n;
    const char *cr = memchr(line.p, '\r', n);

    size->size += line.n + size->cr;
    size->odd |= size->cr && !(ended && !n); /* it was alone */
    size->odd |= cr && cr != line.p + n - 1; /* another follows, or text */
    if (ended && !(n ? line.p[n - 1] == '\r' : size->cr)) {
        size->odd = true;
        size->size++;
    }
    size->cr = !ended && line.p[n - 1] == '\r';
    size->size -= size->cr;
    size->inside_line = !ended;
}

void smtp_client_body_count(struct smtp_client_body_size *size, struct slice in)
{
    while (in.n) {
        const char *lf = memchr(in.p, '\n', in.n);
        size_t n = lf ? (size_t)(lf + 1 - in.p) : in.n;

        count_line(size, slice_of(in.p, n));
        in = slice_skip(in, n);
    }
}

size_t smtp_client_body_counted(const struct smtp_client_body_size *size, bool *clean)
{
    bool open = size->cr || size->inside_line;

    *clean = !size->odd && !open;
    return size->size + (open ? 2 : 0);
}
