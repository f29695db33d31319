/*
 * smtp_dot: where DATA ends, RFC 5321 sections 4.1.1.4 and 4.5.2.
 *
 * Only CRLF "." CRLF ends DATA (at the very beginning "." CRLF, for the CRLF of the command counts).  Servers that
 * also take LF "." LF, or any mixture, for the end let a client smuggle a second message, with an envelope of its own
 * choice, through a relay that does not: so those are content here, and content with a bare CR or LF is noted, for the
 * whole message to be refused (section 2.3.8: CR and LF only together). Nothing is repaired here: a repaired message
 * could mean something else to the next reader.  Where repair is wanted it is made before (smtp_newline.c).
 *
 *      LINE_START --"."--> DOT --CR--> DOT_CR --LF--> END
 *           |               |             |
 *           |             other         other: bare CR
 *           +--CR--> EMPTY_CR --LF--> LINE_START        (an empty line; the first one ends the header)
 *           +--other--> TEXT --CR--> CR --LF--> LINE_START
 *
 * A dot at a line's start is removed whatever follows but the end (section 4.5.2).  The CR of DOT_CR is
 * held back until the next byte tells what it was.
 *
 * The chunks of BDAT (RFC 3030) have neither dot-stuffing nor an end of their own; they go through here for the rest,
 * so that a message keeps the same rules whichever way it comes.
 *
 * Lines are measured on the way.  The header is read byte by byte to count its octets, its fields, and those that tell a loop (smtp_hops.c); the body
 * by memchr() from line end to line end, so that its cost per byte is small.
 */
#include "protocols/smtp_dot.h"

/* How many bytes from p on neither end a line nor are odd.  Only in the body: nobody looks at them. */
static size_t plain_run(const char *p, size_t n)
{
    const char *hit = memchr(p, '\r', n);
    if (hit)
        n = (size_t)(hit - p);
    hit = memchr(p, '\n', n);
    if (hit)
        n = (size_t)(hit - p);
    hit = memchr(p, '\0', n);
    return hit ? (size_t)(hit - p) : n;
}

/* A byte that is content and none of the cases below. */
static enum smtp_dot_state text_byte(struct smtp_dot *dot, char c)
{
    if (c == '\n')
        dot->bare = true;
    else if (c == '\0')
        dot->nul = true;
    else if (!dot->body)
        smtp_hops_byte(&dot->hops, c);
    return SMTP_DOT_TEXT;
}

static enum smtp_dot_state line_ended(struct smtp_dot *dot)
{
    if (!dot->body)
        smtp_hops_line_end(&dot->hops);
    return SMTP_DOT_LINE_START;
}

/* What follows a CR that turned out not to end a line. */
static enum smtp_dot_state after_bare_cr(struct smtp_dot *dot, char c)
{
    dot->bare = true;
    return c == '\r' ? SMTP_DOT_CR : text_byte(dot, c);
}

static enum smtp_dot_state next_state(struct smtp_dot *dot, char c)
{
    switch (dot->state) {
    case SMTP_DOT_LINE_START:
        if (!dot->body && c != ' ' && c != '\t' && c != '\r')
            dot->fields++;
        if (c == '.' && !dot->chunked)
            return SMTP_DOT_DOT;
        return c == '\r' ? SMTP_DOT_EMPTY_CR : text_byte(dot, c);
    case SMTP_DOT_TEXT: return c == '\r' ? SMTP_DOT_CR : text_byte(dot, c);
    case SMTP_DOT_CR: return c == '\n' ? line_ended(dot) : after_bare_cr(dot, c);
    case SMTP_DOT_EMPTY_CR:
        if (c == '\n') {
            dot->body = true;
            return line_ended(dot);
        }
        return after_bare_cr(dot, c);
    case SMTP_DOT_DOT: return c == '\r' ? SMTP_DOT_DOT_CR : text_byte(dot, c);
    case SMTP_DOT_DOT_CR: return c == '\n' ? SMTP_DOT_END : after_bare_cr(dot, c);
    case SMTP_DOT_END: break;
    }
    return SMTP_DOT_END;
}

static void longer(struct smtp_dot *dot, size_t n)
{
    dot->line += n;
    if (dot->line > dot->longest)
        dot->longest = dot->line;
}

static void give(smtp_dot_sink *sink, void *arg, const char *from, const char *to)
{
    if (to > from)
        sink(arg, slice_of(from, (size_t)(to - from)));
}

bool smtp_dot_feed(struct smtp_dot *dot, struct slice *input, smtp_dot_sink *sink, void *arg)
{
    const char *p = input->p, *end = p + input->n;
    const char *run = p; /* content from here on has not been handed out */

    while (p < end && dot->state != SMTP_DOT_END) {
        if (dot->state == SMTP_DOT_TEXT && dot->body) {
            size_t n = plain_run(p, (size_t)(end - p));

            longer(dot, n);
            p += n;
            if (p == end)
                break;
        }
        enum smtp_dot_state before = dot->state;
        dot->header += !dot->body;
        dot->state = next_state(dot, *p);
        if (dot->state != SMTP_DOT_DOT && dot->state != SMTP_DOT_DOT_CR && dot->state != SMTP_DOT_END)
            longer(dot, 1); /* "not counting the leading dot duplicated for transparency" */
        if (dot->state == SMTP_DOT_LINE_START)
            dot->line = 0;
        if (dot->state == SMTP_DOT_DOT || dot->state == SMTP_DOT_DOT_CR || dot->state == SMTP_DOT_END) {
            give(sink, arg, run, p); /* the dot, and what may belong to the end, is no content */
            run = p + 1;
        } else if (before == SMTP_DOT_DOT_CR) {
            give(sink, arg, run, p);
            sink(arg, SLICE("\r")); /* it was content after all */
            run = p;
        }
        p++;
    }
    give(sink, arg, run, p);
    *input = slice_of(p, (size_t)(end - p));
    return dot->state == SMTP_DOT_END;
}

void smtp_dot_finish(struct smtp_dot *dot)
{
    dot->bare |= dot->state == SMTP_DOT_CR || dot->state == SMTP_DOT_EMPTY_CR;
}
