/*
 * smtp_newline: line ends repaired on their way in, for clients that cannot be taught (bare_newline = normalize).
 *
 * RFC 5321 2.3.8 has CR and LF only together.  Refusing a message that has them apart is the default, and the safe
 * thing to do.  Repairing is safe as long as two things hold, for which this filter stands before the dot machine, not
 * behind it:
 *
 *   - What ends DATA is what ended it before: CRLF "." CRLF as the client sent it, and nothing that has become so by
 *     the repair.  So a dot behind a bare LF, and a lone dot before one, get a second dot, which the machine takes off
 *     again.
 *   - Everything that comes after sees the repaired message only: how many fields it has, where its header ends, what
 *     the next hop is sent.
 *
 * A dot at the start of a line that a bare LF began is not taken off: that client did not count it as a line's start
 * by the rule, and a dot too many is seen, a lost one is not.  A bare CR becomes a space, not a line end: most are
 * strays inside a line.
 *
 * The machine is fed up to each LF at most, so that what it leaves over when it sees the end is what the client sent.
 */
#include "protocols/smtp_newline.h"

#define OUT_MAX 1024

struct out {
    char bytes[OUT_MAX];
    size_t n;
    struct smtp_dot *dot;
    smtp_dot_sink *sink;
    void *arg;
};

/* True: DATA has ended. */
static bool flush(struct out *out)
{
    struct slice bytes = slice_of(out->bytes, out->n);

    out->n = 0;
    return smtp_dot_feed(out->dot, &bytes, out->sink, out->arg);
}

static void put(struct out *out, char c)
{
    if (out->n == OUT_MAX)
        flush(out); /* no end: that comes with an LF, which is flushed itself */
    out->bytes[out->n++] = c;
}

static bool put_line_end(struct out *out)
{
    put(out, '\r');
    put(out, '\n');
    return flush(out);
}

static bool bare_lf(struct smtp_newline *newline, struct out *out)
{
    newline->repaired = true;
    if (newline->state == SMTP_NEWLINE_DOT && !out->dot->chunked)
        put(out, '.'); /* ".." in all: a line with one dot */
    newline->state = SMTP_NEWLINE_BARE_START;
    return put_line_end(out);
}

static void text(struct smtp_newline *newline, struct out *out, char c)
{
    enum smtp_newline_state was = newline->state;

    newline->state = SMTP_NEWLINE_TEXT;
    if (c == '.' && was == SMTP_NEWLINE_START)
        newline->state = SMTP_NEWLINE_DOT;
    if (c == '.' && was == SMTP_NEWLINE_BARE_START && !out->dot->chunked)
        put(out, '.');
    put(out, c);
}

static void bare_cr(struct smtp_newline *newline, struct out *out)
{
    newline->repaired = true;
    newline->cr = false;
    text(newline, out, ' ');
}

/* True: DATA has ended with this byte. */
static bool byte(struct smtp_newline *newline, struct out *out, char c)
{
    if (newline->cr && c == '\n') {
        newline->cr = false;
        newline->state = SMTP_NEWLINE_START;
        return put_line_end(out);
    }
    if (newline->cr)
        bare_cr(newline, out);
    if (c == '\n')
        return bare_lf(newline, out);
    newline->cr = c == '\r';
    if (!newline->cr)
        text(newline, out, c);
    return false;
}

bool smtp_newline_feed(struct smtp_newline *newline, struct smtp_dot *dot, struct slice *input, smtp_dot_sink *sink,
                       void *arg)
{
    struct out out = {.n = 0, .dot = dot, .sink = sink, .arg = arg};
    bool ended = false;

    while (input->n && !ended) {
        ended = byte(newline, &out, *input->p);
        *input = slice_of(input->p + 1, input->n - 1);
    }
    return ended || flush(&out);
}

void smtp_newline_finish(struct smtp_newline *newline, struct smtp_dot *dot, smtp_dot_sink *sink, void *arg)
{
    struct out out = {.n = 0, .dot = dot, .sink = sink, .arg = arg};

    if (newline->cr)
        bare_cr(newline, &out);
    flush(&out);
}
