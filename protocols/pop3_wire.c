/*
 * pop3_wire: see the header.
 *
 * A dot is doubled after every LF, also after one without CR (which an IMAP APPEND may have brought): a client that
 * takes a bare LF for a line's end would else see the end of the response inside a message.  A message whose last line
 * has no end gets one.
 *
 * The body begins after the first empty line; a message without one is all header, and TOP shows it all.
 */
#include "protocols/pop3_wire.h"

#include <string.h>

void pop3_wire_init(struct pop3_wire *wire)
{
    *wire = (struct pop3_wire){.line_empty = true, .after_lf = true};
}

void pop3_wire_init_top(struct pop3_wire *wire, uint32_t lines)
{
    pop3_wire_init(wire);
    wire->cut = true;
    wire->lines = lines;
}

/* TOP: a line is over; which part are we in, and was it the last that was asked for? */
static void line_over(struct pop3_wire *wire)
{
    if (wire->in_body)
        wire->lines--;
    else if (wire->line_empty)
        wire->in_body = true;
    wire->done = wire->in_body && wire->lines == 0;
}

/* How many of the bytes are wanted; notices line ends on the way. */
static size_t cut(struct pop3_wire *wire, struct slice bytes)
{
    size_t at = 0;

    while (at < bytes.n && !wire->done) {
        const char *lf = memchr(bytes.p + at, '\n', bytes.n - at);
        size_t end = lf ? (size_t)(lf - bytes.p) : bytes.n;

        if (end > at && !(end - at == 1 && bytes.p[at] == '\r'))
            wire->line_empty = false;
        at = end;
        if (!lf)
            break;
        at++;
        line_over(wire);
        wire->line_empty = true;
    }
    return at;
}

static void stuff(struct pop3_wire *wire, struct slice bytes, pop3_wire_emit *emit, void *arg)
{
    if (wire->after_lf && bytes.n > 0 && bytes.p[0] == '.')
        emit(arg, SLICE("."));
    while (bytes.n > 0) {
        const char *dot = memmem(bytes.p, bytes.n, "\n.", 2);
        size_t n = dot ? (size_t)(dot - bytes.p) + 1 : bytes.n;

        emit(arg, slice_of(bytes.p, n));
        if (dot)
            emit(arg, SLICE("."));
        bytes = slice_skip(bytes, n);
    }
}

void pop3_wire_feed(struct pop3_wire *wire, struct slice bytes, pop3_wire_emit *emit, void *arg)
{
    if (wire->cut)
        bytes.n = cut(wire, bytes);
    if (bytes.n == 0)
        return;
    stuff(wire, bytes, emit, arg);
    wire->after_lf = bytes.p[bytes.n - 1] == '\n';
    wire->after_cr = bytes.p[bytes.n - 1] == '\r';
}

void pop3_wire_end(struct pop3_wire *wire, pop3_wire_emit *emit, void *arg)
{
    if (!wire->after_lf)
        emit(arg, wire->after_cr ? SLICE("\n") : SLICE("\r\n"));
    emit(arg, SLICE(".\r\n"));
}
