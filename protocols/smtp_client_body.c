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
        if (c == '.' && !body->inside_line)
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
    memcpy(to, ".\r\n", 3);
    *body = (struct smtp_client_body)SMTP_CLIENT_BODY_INIT;
    return (size_t)(to - out) + 3;
}
