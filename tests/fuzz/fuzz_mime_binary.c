/*
 * fuzz_mime_binary: any bytes as BODY=BINARYMIME.  In pieces it comes to the same as whole.  What is taken has become
 * lines without NUL, is not changed by going through it again, and, where mime.c can read what came, has the same
 * parts with the same contents.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/mime.h"
#include "protocols/mime_binary.h"

#define HEADER_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct kept {
    char *bytes;
    size_t n, size;
};

static void keep(void *arg, struct slice bytes)
{
    struct kept *kept = arg;

    if (!bytes.n)
        abort();
    if (kept->n + bytes.n > kept->size && !(kept->bytes = realloc(kept->bytes, kept->size = 2 * (kept->n + bytes.n))))
        abort();
    memcpy(kept->bytes + kept->n, bytes.p, bytes.n);
    kept->n += bytes.n;
}

static enum mime_binary_fault run(struct slice bytes, size_t step, size_t header_max, struct kept *kept,
                                  unsigned *converted)
{
    struct mime_binary *binary = mime_binary_new(header_max);
    enum mime_binary_fault fault;

    *kept = (struct kept){0};
    while (bytes.n) {
        size_t n = bytes.n < step ? bytes.n : step;
        mime_binary_feed(binary, slice_of(bytes.p, n), keep, kept);
        bytes = slice_skip(bytes, n);
    }
    mime_binary_finish(binary, keep, kept);
    fault = mime_binary_fault(binary);
    *converted = mime_binary_converted(binary);
    mime_binary_free(&binary);
    return fault;
}

static bool is_clean(struct slice bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        if (!bytes.p[i] || (bytes.p[i] == '\n' && (!i || bytes.p[i - 1] != '\r')) ||
            (bytes.p[i] == '\r' && (i + 1 == bytes.n || bytes.p[i + 1] != '\n')))
            return false;
    return true;
}

static int value_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static struct slice decoded(struct arena *arena, struct slice text)
{
    char *out = arena_alloc(arena, text.n + 1);
    unsigned bits = 0, count = 0;
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        int value = value_of(text.p[i]);
        if (value < 0)
            continue;
        bits = bits << 6 | (unsigned)value;
        count += 6;
        if (count >= 8)
            out[n++] = (char)(bits >> (count -= 8));
    }
    return slice_of(out, n);
}

static void compare(struct arena *arena, const struct mime_part *in, const struct mime_part *out)
{
    for (; in && out; in = in->next, out = out->next) {
        compare(arena, in->child, out->child);
        if (in->child || slice_equal_nocase(mime_head(arena, in->header, false)->type, SLICE("message")))
            continue;
        bool binary = slice_equal_nocase(mime_encoding(arena, in->header), SLICE("binary"));
        bool base64 = slice_equal_nocase(mime_encoding(arena, out->header), SLICE("base64"));
        if (!slice_equal(in->body, binary && base64 ? decoded(arena, out->body) : out->body))
            abort();
    }
    if (in || out)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of((const char *)data, size);
    struct kept whole, pieces;
    unsigned converted, again;
    enum mime_binary_fault fault = run(bytes, size + 1, HEADER_MAX, &whole, &converted);

    for (size_t step = 1; step < 8; step += 3) {
        if (run(bytes, step, HEADER_MAX, &pieces, &again) != fault || again != converted ||
            (!fault && !slice_equal(slice_of(whole.bytes, whole.n), slice_of(pieces.bytes, pieces.n))))
            abort();
        free(pieces.bytes);
    }
    if (!fault && !is_clean(slice_of(whole.bytes, whole.n)))
        abort();
    if (!fault && (run(slice_of(whole.bytes, whole.n), 5, SIZE_MAX / 2, &pieces, &again) || again ||
                   !slice_equal(slice_of(whole.bytes, whole.n), slice_of(pieces.bytes, pieces.n))))
        abort();
    if (!fault)
        free(pieces.bytes);
    if (!fault && !converted && !slice_equal(slice_of(whole.bytes, whole.n), bytes))
        abort();
    if (!fault && is_clean(bytes) && size && size < 8192) {
        struct arena *arena = arena_new(SIZE_MAX);
        compare(arena, mime_parse(arena, bytes), mime_parse(arena, slice_of(whole.bytes, whole.n)));
        arena_free(&arena);
    }
    free(whole.bytes);
    return 0;
}
