/*
 * mime_binary: parts that say "binary" become base64, as they come.
 *
 * RFC 3030 section 3 lets whoever accepts binary convert it for others, if no information is lost and encodings are not
 * nested.  So (RFC 2045 section 6):
 *
 *     leaf, binary                                base64, whatever its type
 *     multipart/..., message/..., binary          8bit, which is always true of lines; what is in them is looked at
 *     anything else                               stays as it is, octet for octet, and must be lines without NUL
 *
 * Of a header the one field Content-Transfer-Encoding is changed, at its place.  A multipart or message that says it is
 * encoded (which section 6.4 forbids) is a leaf: converting in it would nest encodings.
 *
 * The walk.  HEADER gathers a header whole, since the type may stand behind the encoding; its end decides what
 * follows: a header again (message/rfc822), a preamble, or content.  BODY hands content on from CR to CR, and holds
 * back what may be a boundary: CRLF "--" up to the end of that line.  Which lines are boundaries is mime_boundary.c; here
 * one must have CRLF on both sides, for an LF in binary content means nothing (RFC 2046 5.1.1: the CRLF belongs to the
 * delimiter).  At a start of content the CRLF is held as if it had come (`skip`).
 *
 * Signatures.  The first part of a multipart/signed is what is signed, with its header (RFC 1847 section 2.1); nothing
 * may be changed there.  So what must be is refused, which tells the client at once; it can sign what needs no
 * conversion, as that section asks.  The signature itself, and all of multipart/encrypted, may be converted.  DKIM
 * signatures over binary content do break; a broken one is as none (RFC 6376 6.1), and section 5.3 tells signers to
 * convert first.
 *
 * What is doubtful is refused, too: two fields where one decides, boundaries of odd length, a multipart that says
 * binary and has no boundary.  Who sends BINARYMIME must form his MIME properly (RFC 3030 section 3), and a guess
 * would be a message that the next reader understands otherwise.
 */
#include "protocols/mime_binary.h"

#include <stdlib.h>

#include "protocols/mime.h"
#include "protocols/mime_base64.h"
#include "protocols/mime_boundary.h"

#define OUT_SIZE 8192
#define PIECE 3072 /* is encoded at once */

struct mime_binary {
    enum mime_binary_fault fault;
    unsigned converted;

    enum { HEADER, BODY } state;
    struct mime_boundaries boundaries;

    char *header;
    size_t n, size, max;
    size_t line; /* where in it the last line begins */
    bool in_digest;

    char held[MIME_BINARY_LINE_MAX];
    size_t held_n;
    size_t skip; /* bytes of held that did not come */

    bool encode;
    struct mime_base64 base64;

    struct arena *scratch;
};

/* ------------------------------------------------------------------ what goes out */

struct out {
    char bytes[OUT_SIZE];
    size_t n;
    mime_binary_sink *sink;
    void *arg;
};

static void flush(struct out *out)
{
    if (out->n)
        out->sink(out->arg, slice_of(out->bytes, out->n));
    out->n = 0;
}

static void put(struct out *out, struct slice bytes)
{
    if (bytes.n > OUT_SIZE - out->n)
        flush(out);
    if (bytes.n > OUT_SIZE) {
        out->sink(out->arg, bytes);
        return;
    }
    if (bytes.n)
        memcpy(out->bytes + out->n, bytes.p, bytes.n);
    out->n += bytes.n;
}

static void put_encoded(struct mime_binary *b, struct out *out, struct slice bytes)
{
    char encoded[MIME_BASE64_ROOM(PIECE)];

    while (bytes.n) {
        struct slice piece = slice_of(bytes.p, bytes.n < PIECE ? bytes.n : PIECE);

        put(out, slice_of(encoded, mime_base64_encode(&b->base64, piece, encoded)));
        bytes = slice_skip(bytes, piece.n);
    }
}

static void end_encoded(struct mime_binary *b, struct out *out)
{
    char group[MIME_BASE64_ROOM(0)];

    put(out, slice_of(group, mime_base64_end(&b->base64, group)));
    b->encode = false;
}

/* Every CR with its LF is in one piece; see where content() is called. */
static bool is_lines(struct slice bytes)
{
    const char *p = bytes.p, *end = bytes.p + bytes.n, *cr;

    if (bytes.n && memchr(p, '\0', bytes.n))
        return false;
    while ((cr = memchr(p, '\r', (size_t)(end - p)))) {
        if (memchr(p, '\n', (size_t)(cr - p)) || cr + 1 == end || cr[1] != '\n')
            return false;
        p = cr + 2;
    }
    return !memchr(p, '\n', (size_t)(end - p));
}

static void content(struct mime_binary *b, struct out *out, struct slice bytes)
{
    if (!bytes.n)
        return;
    if (b->encode)
        put_encoded(b, out, bytes);
    else if (is_lines(bytes))
        put(out, bytes);
    else
        b->fault = MIME_BINARY_UNDECLARED;
}

/* ------------------------------------------------------------------ headers */

/* The field Content-Transfer-Encoding, p NULL: none.  False: what counts cannot be told. */
static bool find_encoding(const struct mime_binary *b, struct slice header, struct slice *field, struct slice *encoding)
{
    struct slice rest = header, name, raw;
    unsigned types = 0, encodings = 0;

    *field = (struct slice){NULL, 0};
    while (mime_take_field(&rest, &name, &raw)) {
        types += slice_equal_nocase(name, SLICE("Content-Type"));
        if (!slice_equal_nocase(name, SLICE("Content-Transfer-Encoding")))
            continue;
        encodings++;
        *field = raw;
    }
    *encoding = mime_encoding(b->scratch, header);
    return types < 2 && encodings < 2 && (!encodings || encoding->n);
}

static bool is_identity(struct slice encoding)
{
    return !encoding.n || slice_equal_nocase(encoding, SLICE("7bit")) || slice_equal_nocase(encoding, SLICE("8bit")) ||
           slice_equal_nocase(encoding, SLICE("binary"));
}

static void put_header(struct mime_binary *b, struct out *out, struct slice field, const char *encoding)
{
    struct slice header = slice_of(b->header, b->n);
    const char *colon;

    if (!encoding) {
        put(out, header);
        return;
    }
    colon = memchr(field.p, ':', field.n);
    put(out, slice_of(header.p, (size_t)(colon - header.p)));
    put(out, SLICE(": "));
    put(out, slice_str(encoding));
    put(out, SLICE("\r\n"));
    put(out, slice_skip(header, (size_t)(field.p + field.n - header.p)));
    b->converted++;
}

static void begin_header(struct mime_binary *b, bool in_digest)
{
    b->state = HEADER;
    b->n = b->line = 0;
    b->in_digest = in_digest;
}

/* A boundary may follow at once. */
static void begin_body(struct mime_binary *b, bool encode)
{
    b->state = BODY;
    memcpy(b->held, "\r\n", 2);
    b->held_n = b->skip = 2;
    b->encode = encode;
    b->base64 = (struct mime_base64){0};
}

/* All of a header is here; with its empty line, if a body follows. */
static void end_header(struct mime_binary *b, struct out *out, bool has_body)
{
    struct slice field, encoding, boundary = {NULL, 0};
    const struct mime_part *part = mime_head(b->scratch, slice_of(b->header, b->n), b->in_digest);
    bool certain = find_encoding(b, slice_of(b->header, b->n), &field, &encoding);
    bool binary = slice_equal_nocase(encoding, SLICE("binary"));
    bool composite = part->multipart || slice_equal_nocase(part->type, SLICE("message"));
    bool message =
        part->message || (composite && slice_equal_nocase(part->subtype, SLICE("global"))); /* RFC 6532 3.7 */

    if (part->multipart && is_identity(encoding))
        boundary = mime_param(part, "boundary");
    if (!certain || (part->multipart && binary && !boundary.n))
        b->fault = MIME_BINARY_MALFORMED;
    else if (binary && mime_boundaries_signed(&b->boundaries))
        b->fault = MIME_BINARY_SIGNED;
    else
        put_header(b, out, field, !binary ? NULL : composite ? "8bit" : "base64");
    if (!b->fault && has_body && message && !part->multipart && is_identity(encoding)) {
        begin_header(b, false);
    } else if (!b->fault && has_body) {
        if (boundary.n && !mime_boundaries_open(&b->boundaries, part, boundary))
            b->fault = MIME_BINARY_MALFORMED;
        begin_body(b, binary && !composite);
    }
    arena_reset(b->scratch);
}

/* ------------------------------------------------------------------ boundaries */

static void on_delimiter(struct mime_binary *b, struct out *out, struct slice bytes, unsigned level, bool closing)
{
    end_encoded(b, out);
    put(out, bytes);
    if (closing) {
        mime_boundaries_close(&b->boundaries, level);
        begin_body(b, false); /* its epilogue */
    } else {
        begin_header(b, mime_boundaries_next(&b->boundaries, level));
    }
}

/* ------------------------------------------------------------------ bytes */

static void grow(struct mime_binary *b, size_t need)
{
    size_t size = b->size ? b->size : 1024;

    while (size < need)
        size *= 2;
    if (size == b->size)
        return;
    b->header = realloc(b->header, size);
    if (!b->header)
        abort();
    b->size = size;
}

/* A line of the header, without its end, which is gathered as well. */
static void header_line(struct mime_binary *b, struct out *out, struct slice line)
{
    unsigned level;
    bool closing;

    if ((line.n && memchr(line.p, '\r', line.n)) || (line.n && memchr(line.p, '\0', line.n))) {
        b->fault = MIME_BINARY_UNDECLARED;
    } else if (!line.n && b->n > b->line) {
        end_header(b, out, true);
    } else if (line.n >= 2 && memcmp(line.p, "--", 2) == 0 &&
               mime_boundaries_find(&b->boundaries, line, &level, &closing)) {
        struct slice bytes = slice_of(line.p, b->n - b->line);

        b->n = b->line; /* a part without a body */
        end_header(b, out, false);
        if (!b->fault)
            on_delimiter(b, out, bytes, level, closing);
    } else {
        b->line = b->n;
    }
}

static struct slice take_header(struct mime_binary *b, struct out *out, struct slice bytes)
{
    const char *lf = memchr(bytes.p, '\n', bytes.n);
    size_t n = lf ? (size_t)(lf + 1 - bytes.p) : bytes.n;

    if (b->n + n > b->max) {
        b->fault = MIME_BINARY_MALFORMED;
        return bytes;
    }
    grow(b, b->n + n);
    memcpy(b->header + b->n, bytes.p, n);
    b->n += n;
    if (lf) {
        struct slice line = slice_of(b->header + b->line, b->n - b->line);

        if (line.n < 2 || line.p[line.n - 2] != '\r')
            b->fault = MIME_BINARY_UNDECLARED;
        else
            header_line(b, out, slice_of(line.p, line.n - 2));
    }
    return slice_skip(bytes, n);
}

/* The first n that are held are content; what is behind them stays. */
static void release(struct mime_binary *b, struct out *out, size_t n)
{
    content(b, out, slice_of(b->held + b->skip, n - b->skip));
    memmove(b->held, b->held + n, b->held_n - n);
    b->held_n -= n;
    b->skip = 0;
}

static void hold(struct mime_binary *b, struct out *out, char c)
{
    unsigned level;
    bool closing;

    b->held[b->held_n++] = c;
    if (b->held_n <= 4) {
        if (c == "\r\n--"[b->held_n - 1])
            return;
        release(b, out, b->held_n - 1);
        if (c != '\r')
            release(b, out, 1);
        return;
    }
    if (c == '\n' && b->held[b->held_n - 2] == '\r') {
        if (mime_boundaries_find(&b->boundaries, slice_of(b->held + 2, b->held_n - 4), &level, &closing))
            on_delimiter(b, out, slice_of(b->held + b->skip, b->held_n - b->skip), level, closing);
        else
            release(b, out, b->held_n - 2);
        return;
    }
    if (b->held_n < sizeof b->held)
        return;
    if (mime_boundaries_find(&b->boundaries, slice_of(b->held + 2, b->held_n - 2), &level, &closing))
        b->fault = MIME_BINARY_MALFORMED; /* more blanks than anybody needs */
    else
        release(b, out, b->held_n - (c == '\r'));
}

static struct slice take_body(struct mime_binary *b, struct out *out, struct slice bytes)
{
    const char *cr;
    size_t n;

    if (b->held_n) {
        hold(b, out, *bytes.p);
        return slice_skip(bytes, 1);
    }
    cr = memchr(bytes.p, '\r', bytes.n);
    n = cr ? (size_t)(cr - bytes.p) : bytes.n;
    content(b, out, slice_of(bytes.p, n));
    if (cr)
        b->held[b->held_n++] = '\r';
    return slice_skip(bytes, cr ? n + 1 : n);
}

/* ------------------------------------------------------------------ the way in */

struct mime_binary *mime_binary_new(size_t header_max)
{
    struct mime_binary *b = calloc(1, sizeof *b);

    if (!b)
        abort();
    b->max = header_max;
    b->scratch = arena_new(SIZE_MAX);
    return b;
}

void mime_binary_free(struct mime_binary **binary)
{
    if (!*binary)
        return;
    arena_free(&(*binary)->scratch);
    free((*binary)->header);
    free(*binary);
    *binary = NULL;
}

void mime_binary_feed(struct mime_binary *b, struct slice bytes, mime_binary_sink *sink, void *arg)
{
    struct out out = {.n = 0, .sink = sink, .arg = arg};

    while (bytes.n && !b->fault)
        bytes = b->state == HEADER ? take_header(b, &out, bytes) : take_body(b, &out, bytes);
    flush(&out);
}

void mime_binary_finish(struct mime_binary *b, mime_binary_sink *sink, void *arg)
{
    struct out out = {.n = 0, .sink = sink, .arg = arg};
    unsigned level;
    bool closing;

    if (!b->fault && b->state == HEADER && b->n > b->line)
        header_line(b, &out, slice_of(b->header + b->line, b->n - b->line));
    if (!b->fault && b->state == HEADER) {
        end_header(b, &out, false);
    } else if (!b->fault) {
        if (b->held_n >= 4 &&
            mime_boundaries_find(&b->boundaries, slice_of(b->held + 2, b->held_n - 2), &level, &closing))
            on_delimiter(b, &out, slice_of(b->held + b->skip, b->held_n - b->skip), level, closing);
        else
            release(b, &out, b->held_n);
        end_encoded(b, &out);
        if (b->base64.column)
            put(&out, SLICE("\r\n"));
    }
    flush(&out);
}

enum mime_binary_fault mime_binary_fault(const struct mime_binary *binary)
{
    return binary->fault;
}

unsigned mime_binary_converted(const struct mime_binary *binary)
{
    return binary->converted;
}
