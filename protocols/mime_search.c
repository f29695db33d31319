/*
 * mime_search: what SEARCH asks of a message (RFC 3501 6.4.4).
 *
 * Header fields are compared decoded (encoded words), also those of a message in the message; text parts decoded from
 * base64 or quoted-printable and converted to UTF-8.  Other parts (images, programs) are not searched.  Case does not
 * matter: both sides are folded, by Unicode where the needle is not ASCII and the text is UTF-8 of at most UNICODE_MAX
 * bytes (it is slow, and this runs on the loop), and searched by memmem(), which is linear, so no needle is expensive.
 */
#include <stdlib.h>

#include "protocols/mime_private.h"

#define UNICODE_MAX (1024 * 1024)

static void fold(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] - 'A' + 'a');
}

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] >= 0x80)
            return false;
    return true;
}

static bool contains_unicode(const char *text, size_t n, struct slice needle)
{
    char *folded_text = g_utf8_casefold(text, (gssize)n), *folded = g_utf8_casefold(needle.p, (gssize)needle.n);
    bool found = memmem(folded_text, strlen(folded_text), folded, strlen(folded)) != NULL;

    g_free(folded_text);
    g_free(folded);
    return found;
}

/* text is folded in place. */
static bool contains(char *text, size_t n, struct slice needle)
{
    char *folded;
    bool found;

    if (n <= UNICODE_MAX && !is_ascii(needle) && g_utf8_validate(needle.p, (gssize)needle.n, NULL) &&
        g_utf8_validate(text, (gssize)n, NULL))
        return contains_unicode(text, n, needle);
    folded = malloc(needle.n + 1);
    if (!folded)
        abort();
    memcpy(folded, needle.p, needle.n);
    fold(folded, needle.n);
    fold(text, n);
    found = !needle.n || memmem(text, n, folded, needle.n) != NULL;
    free(folded);
    return found;
}

bool mime_text_contains(struct slice text, struct slice needle)
{
    char *copy = malloc(text.n + 1);
    bool found;

    if (!copy)
        abort();
    memcpy(copy, text.p, text.n);
    found = contains(copy, text.n, needle);
    free(copy);
    return found;
}

bool mime_header_contains(struct slice header, struct slice name, struct slice needle)
{
    struct arena *arena = arena_new(SIZE_MAX); /* for one field at a time */
    struct slice rest = header, value;
    bool found = false;

    mime_start();
    while (!found && mime_next_field(arena, &rest, name, &value)) {
        char *decoded = g_mime_utils_header_decode_text(NULL, value.p);

        found = contains(decoded, strlen(decoded), needle);
        g_free(decoded);
        arena_reset(arena);
    }
    arena_free(&arena);
    return found;
}

/* malloc'ed; *n bytes. */
static char *decoded_body(const struct mime_part *part, size_t *n)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice name = mime_encoding(arena, part->header);
    GMimeContentEncoding how = name.n ? g_mime_content_encoding_from_string(name.p) : GMIME_CONTENT_ENCODING_DEFAULT;
    GMimeEncoding state;
    char *out = malloc(part->body.n + 64);

    if (!out)
        abort();
    if (how == GMIME_CONTENT_ENCODING_BASE64 || how == GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE) {
        g_mime_encoding_init_decode(&state, how);
        *n = g_mime_encoding_step(&state, part->body.p, part->body.n, out);
    } else {
        *n = part->body.n;
        memcpy(out, part->body.p, *n);
    }
    arena_free(&arena);
    return out;
}

static const char *charset_of(const struct mime_part *part)
{
    for (const struct mime_param *p = part->params; p; p = p->next)
        if (slice_equal_nocase(p->name, SLICE("charset")))
            return p->value.p;
    return NULL;
}

static bool leaf_contains(const struct mime_part *part, struct slice needle)
{
    const char *charset = charset_of(part);
    size_t n;
    char *text = decoded_body(part, &n);
    bool found;

    if (charset && strcasecmp(charset, "utf-8") != 0 && strcasecmp(charset, "us-ascii") != 0) {
        gsize written = 0;
        char *converted = g_convert_with_fallback(text, (gssize)n, "UTF-8", charset, "?", NULL, &written, NULL);

        if (converted) { /* an unknown charset is searched as it is */
            found = contains(converted, written, needle);
            g_free(converted);
            free(text);
            return found;
        }
    }
    found = contains(text, n, needle);
    free(text);
    return found;
}

bool mime_part_headers_contain(const struct mime_part *root, struct slice needle)
{
    for (const struct mime_part *child = root->child; child; child = child->next)
        if (mime_header_contains(child->header, (struct slice){NULL, 0}, needle) ||
            mime_part_headers_contain(child, needle))
            return true;
    return false;
}

/* message/delivery-status and its like are text to a reader. */
static bool is_readable(const struct mime_part *part)
{
    return slice_equal_nocase(part->type, SLICE("text")) || slice_equal_nocase(part->type, SLICE("message"));
}

bool mime_body_contains(const struct mime_part *root, struct slice needle)
{
    mime_start();
    if (!needle.n)
        return true;
    if (root->message && mime_header_contains(root->child->header, (struct slice){NULL, 0}, needle))
        return true;
    if (root->multipart || root->message) {
        for (const struct mime_part *child = root->child; child; child = child->next)
            if (mime_body_contains(child, needle))
                return true;
        return false;
    }
    return is_readable(root) && leaf_contains(root, needle);
}

bool mime_date(struct arena *arena, struct slice header, int64_t *days)
{
    struct slice value = mime_field(arena, header, "Date");
    GDateTime *date;

    mime_start();
    date = value.n ? g_mime_utils_header_decode_date(value.p) : NULL;
    if (!date)
        return false;
    /* The day as the sender wrote it: seconds since 1970 plus the zone's offset. */
    *days = (g_date_time_to_unix(date) + g_date_time_get_utc_offset(date) / G_TIME_SPAN_SECOND) / 86400;
    g_date_time_unref(date);
    return true;
}
