/*
 * fuzz_smtp_dot: DATA in one piece and in pieces must come to the same; and where a message was found clean, what was
 * kept must be what a client would stuff again into the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/smtp_dot.h"

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

/* step 0: all at once.  Returns how much was consumed. */
static size_t run(const char *data, size_t size, size_t step, struct smtp_dot *dot, struct kept *kept)
{
    size_t consumed = 0;
    *dot = (struct smtp_dot){0};
    kept->n = 0;
    while (consumed < size) {
        size_t n = step && size - consumed > step ? step : size - consumed;
        struct slice piece = slice_of(data + consumed, n);
        bool ended = smtp_dot_feed(dot, &piece, keep, kept);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct kept whole = {malloc(size + 1), 0}, pieces = {malloc(size + 1), 0};
    struct smtp_dot a, b;

    if (!whole.bytes || !pieces.bytes)
        abort();
    size_t consumed = run(text, size, 0, &a, &whole);
    for (size_t step = 1; step < 6; step += 2) {
        if (run(text, size, step, &b, &pieces) != consumed || memcmp(&a, &b, sizeof(a)) != 0 || whole.n != pieces.n ||
            memcmp(whole.bytes, pieces.bytes, whole.n) != 0)
            abort();
    }
    if (a.state == SMTP_DOT_END && !a.bare)
        check_stuffing(&whole, text, consumed);
    free(whole.bytes);
    free(pieces.bytes);
    return 0;
}
