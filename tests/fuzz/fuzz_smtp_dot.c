/*
 * fuzz_smtp_dot: DATA in one piece and in pieces must come to the same; where a message was found clean, what was kept
 * must be what a client would stuff again into the same bytes.  With line ends repaired it must end at the same byte,
 * be clean, and be what it is otherwise if there was nothing to repair.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/smtp_newline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct kept {
    char *bytes;
    size_t n;
};

static void keep(void *arg, struct slice bytes)
{
    struct kept *kept = arg;
    memcpy(kept->bytes + kept->n, bytes.p, bytes.n);
    kept->n += bytes.n;
}

/* step 0: all at once; newline: NULL, or repair.  Returns how much was consumed. */
static size_t run(const char *data, size_t size, size_t step, struct smtp_newline *newline, struct smtp_dot *dot,
                  struct kept *kept)
{
    size_t consumed = 0;
    *dot = (struct smtp_dot){.hops.name = {"mx.example.test", 15}};
    if (newline)
        *newline = (struct smtp_newline){0};
    kept->n = 0;
    while (consumed < size) {
        size_t n = step && size - consumed > step ? step : size - consumed;
        struct slice piece = slice_of(data + consumed, n);
        bool ended =
            newline ? smtp_newline_feed(newline, dot, &piece, keep, kept) : smtp_dot_feed(dot, &piece, keep, kept);
        consumed += n - piece.n;
        if (ended)
            break;
        if (piece.n)
            abort();
    }
    return consumed;
}

/* What was kept, stuffed again, is what was sent. */
static void check_stuffing(const struct kept *kept, const char *data, size_t consumed)
{
    size_t at = 0;
    for (size_t i = 0; i < kept->n; i++) {
        bool line_start = i == 0 || (kept->bytes[i - 1] == '\n');
        /* a client may stuff any line; it must stuff those that begin with a dot */
        if (line_start && data[at] == '.')
            at++;
        else if (line_start && kept->bytes[i] == '.')
            abort();
        if (at >= consumed || data[at++] != kept->bytes[i])
            abort();
    }
    if (consumed - at != 3 || memcmp(data + at, ".\r\n", 3) != 0)
        abort();
}

static bool is_same(const struct smtp_dot *a, const struct smtp_dot *b)
{
    return a->state == b->state && a->body == b->body && a->bare == b->bare && a->nul == b->nul &&
           a->header == b->header && a->fields == b->fields && a->hops.received == b->hops.received &&
           a->hops.own == b->hops.own && a->hops.own <= a->hops.received;
}

static void check_pieces(const char *text, size_t size, struct smtp_newline *newline, const struct smtp_dot *dot,
                         const struct kept *whole, size_t consumed)
{
    struct kept pieces = {malloc(2 * size + 1), 0};
    struct smtp_dot other;

    if (!pieces.bytes)
        abort();
    for (size_t step = 1; step < 6; step += 2)
        if (run(text, size, step, newline, &other, &pieces) != consumed || !is_same(dot, &other) ||
            whole->n != pieces.n || memcmp(whole->bytes, pieces.bytes, whole->n) != 0)
            abort();
    free(pieces.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct kept whole = {malloc(size + 1), 0}, repaired = {malloc(2 * size + 1), 0};
    struct smtp_newline newline;
    struct smtp_dot a, b;

    if (!whole.bytes || !repaired.bytes)
        abort();
    size_t consumed = run(text, size, 0, NULL, &a, &whole);
    check_pieces(text, size, NULL, &a, &whole, consumed);
    if (a.state == SMTP_DOT_END && !a.bare)
        check_stuffing(&whole, text, consumed);
    if (run(text, size, 0, &newline, &b, &repaired) != consumed ||
        (a.state == SMTP_DOT_END) != (b.state == SMTP_DOT_END) || b.bare)
        abort();
    if (a.state == SMTP_DOT_END &&
        (newline.repaired != a.bare ||
         (!a.bare && (!is_same(&a, &b) || whole.n != repaired.n || memcmp(whole.bytes, repaired.bytes, whole.n) != 0))))
        abort();
    check_pieces(text, size, &newline, &b, &repaired, consumed);
    free(whole.bytes);
    free(repaired.bytes);
    return 0;
}
