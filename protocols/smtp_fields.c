/*
 * smtp_fields: the header of a submitted message: Bcc goes, and it is noted whether Date and Message-ID are there.
 *
 * Whoever submits may leave to us what every message must have (RFC 6409 sections 8.2 and 8.3; RFC 5322 3.6 wants a
 * Date, and should have a Message-ID), and may say in a Bcc field who else gets it, which nobody of the others shall
 * read (RFC 5322 3.6.3).  The envelope tells where the message goes; the fields are never read for that.  Resent-Bcc
 * goes as well.  What went is kept, for the copy that the account itself may have of what it sent (smtp_sent.c).
 *
 * The filter removes whole fields, with their continuation lines, and changes no other byte.  What is missing is put
 * before the header by smtp_accept.c, with our Received line.
 *
 *      LINE_START --blank--> LINE (of the same field)
 *           |  +----CR-----> EMPTY_CR --LF--> BODY (nothing is looked at any more)
 *           +----other-----> NAME --":"--> LINE --LF--> LINE_START
 *
 * In NAME the bytes are held back until the colon tells whose they are, or until they are too many for a name that
 * matters here.  A line without a colon is no field; it is passed, and the header goes on to the empty line all the
 * same, since some readers see it so and would show the Bcc behind it.  The obsolete form with blanks before the colon
 * counts (RFC 5322 4.5).  Messages with bare CR or LF are refused anyway; what becomes of them here does not matter.
 */
#include "protocols/smtp_fields.h"

#define OUT_MAX 1024

/* What stays, gathered: the sink is not called for each byte. */
struct out {
    char bytes[OUT_MAX];
    size_t n;
    smtp_dot_sink *sink;
    void *arg;
};

static void flush(struct out *out)
{
    if (out->n)
        out->sink(out->arg, slice_of(out->bytes, out->n));
    out->n = 0;
}

static void put(struct out *out, char c)
{
    if (out->n == OUT_MAX)
        flush(out);
    out->bytes[out->n++] = c;
}

static void put_held(struct smtp_fields *fields, struct out *out)
{
    for (unsigned i = 0; i < fields->held_size; i++)
        put(out, fields->held[i]);
    fields->held_size = 0;
}

/* Once a line does not fit, no later one is kept either. */
static void keep(struct smtp_fields *fields, char c)
{
    if (fields->bcc_size == SMTP_FIELDS_BCC_MAX)
        return;
    fields->bcc[fields->bcc_size++] = c;
    if (c == '\n')
        fields->bcc_whole = fields->bcc_size;
}

struct slice smtp_fields_bcc(const struct smtp_fields *fields)
{
    return slice_of(fields->bcc, fields->bcc_whole);
}

/* Before the colon stands held: whose field is it? */
static void on_name(struct smtp_fields *fields)
{
    struct slice name = slice_of(fields->held, fields->held_size);

    while (name.n && (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t'))
        name.n--;
    fields->dropping = slice_equal_nocase(name, SLICE("Bcc")) || slice_equal_nocase(name, SLICE("Resent-Bcc"));
    fields->date |= slice_equal_nocase(name, SLICE("Date"));
    fields->message_id |= slice_equal_nocase(name, SLICE("Message-ID"));
    if (fields->dropping) {
        for (unsigned i = 0; i < fields->held_size; i++)
            keep(fields, fields->held[i]);
        fields->held_size = 0;
    }
}

static enum smtp_fields_state in_line(struct smtp_fields *fields, char c, struct out *out)
{
    if (!fields->dropping)
        put(out, c);
    else
        keep(fields, c);
    return c == '\n' ? SMTP_FIELDS_LINE_START : SMTP_FIELDS_LINE;
}

static enum smtp_fields_state in_name(struct smtp_fields *fields, char c, struct out *out)
{
    if (c != ':' && c != '\n' && fields->held_size < SMTP_FIELDS_NAME_MAX) {
        fields->held[fields->held_size++] = c;
        return SMTP_FIELDS_NAME;
    }
    if (c == ':')
        on_name(fields);
    put_held(fields, out);
    return in_line(fields, c, out);
}

static enum smtp_fields_state at_line_start(struct smtp_fields *fields, char c, struct out *out)
{
    if (c == ' ' || c == '\t')
        return in_line(fields, c, out);
    fields->dropping = false;
    if (c != '\r')
        return in_name(fields, c, out);
    put(out, c);
    return SMTP_FIELDS_EMPTY_CR;
}

static enum smtp_fields_state next_state(struct smtp_fields *fields, char c, struct out *out)
{
    switch (fields->state) {
    case SMTP_FIELDS_LINE_START: return at_line_start(fields, c, out);
    case SMTP_FIELDS_NAME: return in_name(fields, c, out);
    case SMTP_FIELDS_LINE: return in_line(fields, c, out);
    case SMTP_FIELDS_EMPTY_CR: put(out, c); return c == '\n' ? SMTP_FIELDS_BODY : SMTP_FIELDS_LINE;
    case SMTP_FIELDS_BODY: break;
    }
    return SMTP_FIELDS_BODY;
}

void smtp_fields_feed(struct smtp_fields *fields, struct slice input, smtp_dot_sink *sink, void *arg)
{
    struct out out = {.n = 0, .sink = sink, .arg = arg};

    while (input.n && fields->state != SMTP_FIELDS_BODY) {
        fields->state = next_state(fields, *input.p, &out);
        input = slice_skip(input, 1);
    }
    flush(&out);
    if (input.n)
        sink(arg, input);
}

void smtp_fields_finish(struct smtp_fields *fields, smtp_dot_sink *sink, void *arg)
{
    struct out out = {.n = 0, .sink = sink, .arg = arg};

    put_held(fields, &out);
    flush(&out);
}
