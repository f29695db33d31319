/*
 * dkim: signs.
 *
 *     bh  = SHA-256 of the body, canonicalised (3.7)
 *     b   = signature of all fields, in the order of h=, and of this field without the value of b=
 *
 * Each field is canonicalised by itself: its name in lower case, unfolded, blanks made one, none around the colon and
 * at the end.  In the body blanks at the ends of lines go, others become one, and empty lines at the end go.  What
 * servers on the way do to white space does not break that.
 *
 * h= lists every field once; the messages that we write have none twice, which would have to be listed from the
 * bottom up (5.4.2).  Nothing is done about l= and x=: a report is signed as a whole, and for good.
 */
#include "relay/dkim.h"

#include <string.h>

#include "core/secret.h"

#define FOLD_AT 70

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The field, with its CRLFs; "name:value" CRLF */
struct slice dkim_relaxed_header(struct arena *arena, struct slice field)
{
    const char *colon = field.n ? memchr(field.p, ':', field.n) : NULL;
    size_t name = colon ? (size_t)(colon - field.p) : field.n, n = 0;
    char *out = arena_alloc(arena, field.n + 3);
    bool blank = false;

    while (name && is_blank(field.p[name - 1]))
        name--;
    for (size_t i = 0; i < name; i++)
        out[n++] = lower(field.p[i]);
    out[n++] = ':';
    size_t value = n;
    for (size_t i = colon ? (size_t)(colon - field.p) + 1 : field.n; i < field.n; i++) {
        char c = field.p[i];

        if (is_blank(c) || c == '\r' || c == '\n') {
            blank = true;
            continue;
        }
        if (blank && n > value)
            out[n++] = ' ';
        blank = false;
        out[n++] = c;
    }
    memcpy(out + n, "\r\n", 2);
    return slice_of(out, n + 2);
}

struct slice dkim_relaxed_body(struct arena *arena, struct slice body)
{
    char *out = arena_alloc(arena, 2 * body.n + 2); /* a bare LF becomes two bytes */
    size_t n = 0, kept = 0;                         /* kept: up to the end of the last line that is not empty */

    while (body.n) {
        const char *end = memchr(body.p, '\n', body.n);
        size_t line = end ? (size_t)(end - body.p) : body.n, start = n;
        bool blank = false;

        for (size_t i = 0; i < line; i++) {
            char c = body.p[i];

            if (is_blank(c)) {
                blank = true;
                continue;
            }
            if (c == '\r' && i + 1 == line && end)
                break;
            if (blank)
                out[n++] = ' ';
            blank = false;
            out[n++] = c;
        }
        bool empty = n == start;
        memcpy(out + n, "\r\n", 2);
        n += 2;
        if (!empty)
            kept = n;
        body = slice_skip(body, end ? line + 1 : line);
    }
    return slice_of(out, kept);
}

struct text {
    struct arena *arena;
    char *p;
    size_t n, room;
};

static void put(struct text *text, struct slice bytes)
{
    if (text->n + bytes.n > text->room) {
        size_t room = (text->n + bytes.n) * 2;
        char *larger = arena_alloc(text->arena, room);

        if (text->n)
            memcpy(larger, text->p, text->n);
        text->p = larger;
        text->room = room;
    }
    if (bytes.n)
        memcpy(text->p + text->n, bytes.p, bytes.n);
    text->n += bytes.n;
}

/* The first field, with the lines that continue it; empty: the header is over. */
static struct slice next_field(struct slice *rest)
{
    struct slice start = *rest;
    size_t n = 0;

    if (!start.n || *start.p == '\r' || *start.p == '\n')
        return slice_of(start.p, 0);
    do {
        const char *end = memchr(start.p + n, '\n', start.n - n);

        n = end ? (size_t)(end - start.p) + 1 : start.n;
    } while (n < start.n && is_blank(start.p[n]));
    *rest = slice_skip(start, n);
    return slice_of(start.p, n);
}

/* Base64 on lines of its own. */
static const char *folded(struct arena *arena, struct slice base64)
{
    const char *text = "";

    while (base64.n) {
        size_t n = base64.n < FOLD_AT ? base64.n : FOLD_AT;

        text = arena_printf(arena, "%s\r\n %.*s", text, (int)n, base64.p);
        base64 = slice_skip(base64, n);
    }
    return text;
}

bool dkim_sign(struct arena *arena, const struct dkim_settings *settings, struct slice message, int64_t now_ms,
               struct slice *field)
{
    unsigned char digest[SECRET_SHA256_SIZE];
    struct slice rest = message, one, signature;
    struct text hashed = {.arena = arena};
    const char *names = "";

    while ((one = next_field(&rest)).n) {
        struct slice relaxed = dkim_relaxed_header(arena, one);
        const char *colon = memchr(relaxed.p, ':', relaxed.n);

        put(&hashed, relaxed);
        names = arena_printf(arena, "%s%s%.*s", names, *names ? ":\r\n " : "", (int)(colon - relaxed.p), relaxed.p);
    }
    if (rest.n && *rest.p == '\r')
        rest = slice_skip(rest, 1);
    if (rest.n)
        rest = slice_skip(rest, 1);
    secret_sha256(dkim_relaxed_body(arena, rest), digest);
    struct slice body_hash = secret_base64(arena, slice_of((const char *)digest, sizeof digest));
    const char *unsigned_field = arena_printf(
        arena, "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n d=%s; s=%s; t=%lld;\r\n h=%s;\r\n bh=%.*s;\r\n b=",
        secret_signer_algorithm(settings->signer), settings->domain, settings->selector, (long long)(now_ms / 1000),
        names, SLICE_ARG(body_hash));
    struct slice own = dkim_relaxed_header(arena, slice_str(unsigned_field));
    put(&hashed, slice_of(own.p, own.n - 2)); /* without its CRLF (3.7) */
    if (!secret_signer_sign(arena, settings->signer, slice_of(hashed.p, hashed.n), &signature))
        return false;
    *field = slice_str(arena_printf(arena, "%s%s\r\n", unsigned_field, folded(arena, secret_base64(arena, signature))));
    return true;
}
