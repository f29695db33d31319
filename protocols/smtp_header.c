/*
 * smtp_header: notes what the header of a message asks of relays.
 *
 *     requiretls-field = "TLS-Required:" [FWS] "No" CRLF                                (RFC 8689 section 3)
 *
 * The start of each field is gathered, unfolded, and judged when the next one begins or the header ends.  Fields that
 * are longer than what is looked at say nothing to us.  A field that stands there twice is forbidden; one that says
 * "No" counts, whatever the other one says.
 *
 * A message may come without a header (small devices, scripts), or begin with a blank.  What we put before it would then
 * take its first lines in: the blank makes them a part of our own last field, and lines without a colon are what some
 * readers skip, with all that follows.  So it is noted, and our fields get the empty line that ends them.  The line that
 * mail in folders begins with ("From ann Mon Nov 23...") is no field either, but a header follows it.
 *
 * Whether there are octets beyond ASCII is noted for the header and for the rest: a message is internationalised if a
 * header in it is (RFC 6531 3.6), which need not be looked for where there is nothing but ASCII.
 */
#include "protocols/smtp_header.h"

#include "core/idn.h"

static struct slice trimmed(struct slice text)
{
    while (text.n && (*text.p == ' ' || *text.p == '\t'))
        text = slice_skip(text, 1);
    while (text.n && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t'))
        text.n--;
    return text;
}

static void judge(struct smtp_header *header)
{
    struct slice field = slice_of(header->start, header->n), name;
    const char *colon = field.n ? memchr(field.p, ':', field.n) : NULL;

    if (!colon || header->n == SMTP_HEADER_START_MAX)
        return;
    name = trimmed(slice_of(field.p, (size_t)(colon - field.p)));
    if (slice_equal_nocase(name, SLICE("TLS-Required")))
        header->tls_optional |=
            slice_equal_nocase(trimmed(slice_skip(field, (size_t)(colon - field.p) + 1)), SLICE("No"));
}

/* field = field-name *WSP ":" (RFC 5322 4.5.8); for the sake of those who send it, the name may be 8-bit. */
static bool begins_header(struct slice line)
{
    struct slice name = line;

    while (name.n && *name.p == '>')
        name = slice_skip(name, 1);
    if (name.n >= 5 && memcmp(name.p, "From ", 5) == 0)
        return true;
    for (name = line; line.n && (unsigned char)*line.p > ' ' && *line.p != ':' && *line.p != 0x7f;)
        line = slice_skip(line, 1);
    return line.n < name.n && trimmed(line).n && *trimmed(line).p == ':';
}

/* The first line is gathered, as far as a name goes; empty: it ends a header of no fields. */
static void look_at_first(struct smtp_header *header)
{
    if (!header->first_seen && header->n)
        header->missing = !begins_header(slice_of(header->start, header->n));
    header->first_seen = true;
}

static void keep(struct smtp_header *header, char c)
{
    if (header->n < SMTP_HEADER_START_MAX)
        header->start[header->n++] = c;
}

/* An empty line ends the header; the message may begin with it. */
static void on_line_end(struct smtp_header *header)
{
    look_at_first(header);
    header->over = header->new_line || !header->n;
    header->new_line = true;
    if (header->over)
        judge(header);
}

void smtp_header_feed(struct smtp_header *header, struct slice bytes)
{
    size_t i;

    for (i = 0; i < bytes.n && !header->over; i++) {
        char c = bytes.p[i];

        header->eight_bit |= (unsigned char)c >= 0x80;
        if (c == '\n') {
            on_line_end(header);
            continue;
        }
        if (c == '\r')
            continue;
        if (header->new_line && c != ' ' && c != '\t') {
            judge(header);
            header->n = 0;
        }
        header->new_line = false;
        keep(header, c);
    }
    if (!header->eight_bit_after)
        header->eight_bit_after = !idn_is_ascii(slice_skip(bytes, i));
}

void smtp_header_finish(struct smtp_header *header)
{
    look_at_first(header);
    if (!header->over)
        judge(header);
    header->over = true;
}
