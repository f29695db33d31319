/*
 * mime: the structure of a message: parts, ranges, fields.  What IMAP says about it is in mime_describe.c, what SEARCH
 * asks in mime_search.c.
 *
 * A part is header, empty line, body.  In a multipart the body is cut at lines that begin with "--" and the boundary
 * (RFC 2046 5.1.1); the line end before a delimiter belongs to the delimiter.  Text before the first and after the
 * closing one is in no part.  A multipart that never closes ends with its container.  One without any part is shown as
 * text/plain, as IMAP has no form for it.
 *
 * Each level scans its own body once, so hostile nesting costs at most MIME_DEPTH_MAX times the message's size.
 */
#include "protocols/mime.h"

#include <gmime/gmime.h>
#include <stdlib.h>
#include <strings.h>

#include "core/idn.h"
#include "protocols/mime_private.h"

struct scan {
    struct arena *arena;
    unsigned parts;
};

/* ------------------------------------------------------------------ lines and fields */

/* The line at p with its end. */
static size_t line_length(const char *p, const char *end)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p));

    return newline ? (size_t)(newline - p) + 1 : (size_t)(end - p);
}

static bool is_empty_line(const char *p, size_t n)
{
    return (n == 1 && *p == '\n') || (n == 2 && p[0] == '\r' && p[1] == '\n');
}

/* A field with its continuation lines. */
static size_t field_length(const char *p, const char *end)
{
    size_t n = line_length(p, end);

    while (p + n < end && (p[n] == ' ' || p[n] == '\t'))
        n += line_length(p + n, end);
    return n;
}

static struct slice field_name(const char *p, size_t n)
{
    const char *colon = memchr(p, ':', n);
    size_t length = colon ? (size_t)(colon - p) : 0;

    while (length && (p[length - 1] == ' ' || p[length - 1] == '\t'))
        length--;
    return slice_of(p, length);
}

static void split_header(struct slice bytes, struct slice *header, struct slice *body)
{
    const char *p = bytes.p, *end = bytes.p + bytes.n;

    while (p < end) {
        size_t n = line_length(p, end);

        p += n;
        if (is_empty_line(p - n, n))
            break;
    }
    *header = slice_of(bytes.p, (size_t)(p - bytes.p));
    *body = slice_of(p, (size_t)(end - p));
}

/* What is longer than MIME_FIELD_MAX is cut: nobody reads it, and what decodes it takes longer than its length. */
static struct slice unfolded(struct arena *arena, const char *p, size_t n)
{
    char *out;
    size_t length = 0;

    n = n < MIME_FIELD_MAX ? n : MIME_FIELD_MAX;
    out = arena_alloc(arena, n + 1);

    while (n && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) { /* it may begin with a folded line */
        p++;
        n--;
    }
    for (size_t i = 0; i < n; i++)
        if (p[i] != '\r' && p[i] != '\n')
            out[length++] = p[i];
    while (length && (out[length - 1] == ' ' || out[length - 1] == '\t'))
        length--;
    return slice_of(out, length);
}

bool mime_take_field(struct slice *rest, struct slice *name, struct slice *raw)
{
    if (!rest->n)
        return false;
    *raw = slice_of(rest->p, field_length(rest->p, rest->p + rest->n));
    *name = field_name(raw->p, raw->n);
    *rest = slice_skip(*rest, raw->n);
    return true;
}

bool mime_next_field(struct arena *arena, struct slice *rest, struct slice wanted, struct slice *value)
{
    while (rest->n) {
        size_t n = field_length(rest->p, rest->p + rest->n);
        const char *p = rest->p;
        struct slice name = field_name(p, n);

        *rest = slice_skip(*rest, n);
        if (name.n && (!wanted.p || slice_equal_nocase(name, wanted))) {
            const char *colon = memchr(p, ':', n);

            *value = unfolded(arena, colon + 1, n - (size_t)(colon + 1 - p));
            return true;
        }
    }
    return false;
}

bool mime_headers_eight_bit(const struct mime_part *root)
{
    if (!idn_is_ascii(root->header))
        return true;
    for (const struct mime_part *part = root->child; part; part = part->next)
        if (mime_headers_eight_bit(part))
            return true;
    return false;
}

struct slice mime_field(struct arena *arena, struct slice header, const char *wanted)
{
    struct slice rest = header, value = {NULL, 0};

    (void)mime_next_field(arena, &rest, slice_str(wanted), &value);
    return value;
}

static int by_name(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int order = n ? strncasecmp(x->p, y->p, n) : 0;

    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* Copies the chosen fields to out, if there is one, and returns their length.  names are sorted. */
static size_t choose_fields(struct slice header, const struct slice *names, unsigned count, bool without, char *out)
{
    struct slice rest = header;
    size_t length = 0;

    while (rest.n) {
        size_t n = field_length(rest.p, rest.p + rest.n);
        struct slice name = field_name(rest.p, n);

        if (is_empty_line(rest.p, line_length(rest.p, rest.p + rest.n)))
            break;
        if ((bsearch(&name, names, count, sizeof *names, by_name) != NULL) != without) {
            if (out)
                memcpy(out + length, rest.p, n);
            length += n;
        }
        rest = slice_skip(rest, n);
    }
    return length;
}

struct slice mime_fields(struct arena *arena, struct slice header, const struct slice *names, unsigned count,
                         bool without)
{
    struct slice *sorted =
        arena_array(arena, count, sizeof *sorted); /* a client may name thousands, a header have millions */
    size_t length;
    char *out;

    memcpy(sorted, names, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_name);
    length = choose_fields(header, sorted, count, without, NULL);
    out = arena_alloc(arena, length + 2);
    (void)choose_fields(header, sorted, count, without, out);
    memcpy(out + length, "\r\n", 2);
    return slice_of(out, length + 2);
}

/* ------------------------------------------------------------------ types */

/*
 * Groups do not nest (RFC 5322 3.4), but GMime reads them so, with some 220 bytes of stack for each.  All colons are
 * counted, wherever they stand, since what is quoted is for GMime to say.
 */
size_t mime_addresses_length(struct slice value)
{
    unsigned colons = 0;

    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == ':' && ++colons > MIME_COLONS_MAX)
            return i;
    return value.n;
}

struct mime_param *mime_params_of(struct arena *arena, GMimeParamList *list)
{
    struct mime_param *first = NULL, **last = &first;
    int count = list ? g_mime_param_list_length(list) : 0;

    for (int i = 0; i < count; i++) {
        GMimeParam *from = g_mime_param_list_get_parameter_at(list, i);
        struct mime_param *param = arena_alloc(arena, sizeof *param);

        param->name = slice_str(arena_strdup(arena, g_mime_param_get_name(from)));
        param->value = slice_str(arena_strdup(arena, g_mime_param_get_value(from) ? g_mime_param_get_value(from) : ""));
        param->extended = g_mime_param_get_encoding_method(from) == GMIME_PARAM_ENCODING_METHOD_RFC2231;
        *last = param;
        last = &param->next;
    }
    return first;
}

struct slice mime_encoding(struct arena *arena, struct slice header)
{
    struct slice value = mime_field(arena, header, "Content-Transfer-Encoding");
    size_t n = 0;

    if (value.n && value.p[0] == '"')
        value = slice_skip(value, 1);
    while (n < value.n && !strchr(" \t;(\"", value.p[n]))
        n++;
    return n ? arena_slice(arena, slice_of(value.p, n)) : (struct slice){NULL, 0};
}

static void take_type(struct arena *arena, struct mime_part *part, bool in_digest)
{
    struct slice value = mime_field(arena, part->header, "Content-Type");
    GMimeContentType *type;

    part->type = in_digest ? SLICE("message") : SLICE("text");
    part->subtype = in_digest ? SLICE("rfc822") : SLICE("plain");
    if (value.p && memchr(value.p, '/', value.n)) {
        type = g_mime_content_type_parse(NULL, value.p);
        part->type = slice_str(arena_strdup(arena, g_mime_content_type_get_media_type(type)));
        part->subtype = slice_str(arena_strdup(arena, g_mime_content_type_get_media_subtype(type)));
        part->params = mime_params_of(arena, g_mime_content_type_get_parameters(type));
        g_object_unref(type);
    }
    part->multipart = slice_equal_nocase(part->type, SLICE("multipart"));
    part->message =
        slice_equal_nocase(part->type, SLICE("message")) && slice_equal_nocase(part->subtype, SLICE("rfc822"));
}

struct slice mime_param(const struct mime_part *part, const char *name)
{
    for (const struct mime_param *p = part->params; p; p = p->next)
        if (slice_equal_nocase(p->name, slice_str(name)))
            return p->value;
    return (struct slice){NULL, 0};
}

/* ------------------------------------------------------------------ parts */

static struct mime_part *scan_part(struct scan *scan, struct slice bytes, unsigned depth, bool in_digest);

enum delimiter { DELIMITER_NONE, DELIMITER_NEXT, DELIMITER_CLOSE };

/* "--" boundary ["--"] and nothing but white space. */
static enum delimiter delimiter_of(const char *p, size_t n, struct slice boundary)
{
    enum delimiter found = DELIMITER_NEXT;

    if (n < boundary.n + 2 || p[0] != '-' || p[1] != '-' || memcmp(p + 2, boundary.p, boundary.n) != 0)
        return DELIMITER_NONE;
    p += boundary.n + 2;
    n -= boundary.n + 2;
    if (n >= 2 && p[0] == '-' && p[1] == '-') {
        found = DELIMITER_CLOSE;
        p += 2;
        n -= 2;
    }
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n", p[i]) || !p[i])
            return DELIMITER_NONE;
    return found;
}

static struct slice without_line_end(const char *p, size_t n)
{
    if (n && p[n - 1] == '\n')
        n--;
    if (n && p[n - 1] == '\r')
        n--;
    return slice_of(p, n);
}

static void scan_multipart(struct scan *scan, struct mime_part *part, unsigned depth)
{
    struct slice boundary = mime_param(part, "boundary");
    bool digest = slice_equal_nocase(part->subtype, SLICE("digest"));
    const char *p = part->body.p, *end = part->body.p + part->body.n, *start = NULL;
    struct mime_part **last = &part->child;
    enum delimiter found = DELIMITER_NONE;

    if (!boundary.n)
        return;
    while (p < end && found != DELIMITER_CLOSE && scan->parts < MIME_PARTS_MAX) {
        size_t n = line_length(p, end);

        found = delimiter_of(p, n, boundary);
        if (found != DELIMITER_NONE && start) {
            *last = scan_part(scan, without_line_end(start, (size_t)(p - start)), depth + 1, digest);
            last = &(*last)->next;
        }
        p += n;
        if (found != DELIMITER_NONE)
            start = p;
    }
    if (start && found != DELIMITER_CLOSE && start <= end)
        *last = scan_part(scan, slice_of(start, (size_t)(end - start)), depth + 1, digest);
}

static struct mime_part *scan_part(struct scan *scan, struct slice bytes, unsigned depth, bool in_digest)
{
    struct mime_part *part = arena_alloc(scan->arena, sizeof *part);

    scan->parts++;
    split_header(bytes, &part->header, &part->body);
    take_type(scan->arena, part, in_digest);
    if (part->multipart && depth < MIME_DEPTH_MAX)
        scan_multipart(scan, part, depth);
    else if (part->message && depth < MIME_DEPTH_MAX && scan->parts < MIME_PARTS_MAX)
        part->child = scan_part(scan, part->body, depth + 1, false);
    if (!part->child && (part->multipart || part->message)) {
        part->multipart = part->message = false;
        part->type = SLICE("text");
        part->subtype = SLICE("plain");
        part->params = NULL;
    }
    return part;
}

void mime_start(void)
{
    static bool started;

    if (!started)
        g_mime_init();
    started = true;
}

struct mime_part *mime_parse(struct arena *arena, struct slice bytes)
{
    struct scan scan = {arena, 0};

    mime_start();
    return scan_part(&scan, bytes, 0, false);
}

const struct mime_part *mime_head(struct arena *arena, struct slice header, bool in_digest)
{
    struct mime_part *part = arena_alloc(arena, sizeof *part);

    mime_start();
    part->header = header;
    take_type(arena, part, in_digest);
    return part;
}

/* A part's numbers count its multipart's parts; a message/rfc822 part is numbered through to what is in it (RFC 3501
 * 6.4.5); what is no multipart has one part, number 1, itself. */
const struct mime_part *mime_find(const struct mime_part *root, const uint32_t *numbers, unsigned depth)
{
    const struct mime_part *part = root;

    for (unsigned i = 0; i < depth && part; i++) {
        const struct mime_part *in = i && part->message ? part->child : part;
        uint32_t n = numbers[i];

        if (in->multipart) {
            for (part = in->child; part && n > 1; n--)
                part = part->next;
        } else {
            part = n == 1 && (i == 0 || in != part) ? in : NULL;
        }
    }
    return part;
}
