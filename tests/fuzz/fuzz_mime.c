/*
 * fuzz_mime: a message of any bytes.  Beyond not crashing: every part lies in the message, and a structure can be
 * written.
 */
#include <event2/buffer.h>
#include <stdint.h>
#include <stdlib.h>

#include "protocols/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct mime_part *part, struct slice whole)
{
    for (; part; part = part->next) {
        if (part->header.p < whole.p || part->body.p + part->body.n > whole.p + whole.n)
            abort();
        check(part->child, part->body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice bytes = arena_slice(arena, slice_of((const char *)data, size));
    struct evbuffer *out = evbuffer_new();
    uint32_t numbers[3] = {1, 2, 1};
    struct mime_part *root;
    int64_t days;

    if (memchr(data, '\0', size) == NULL) { /* NUL is refused where messages come in */
        root = mime_parse(arena, bytes);
        check(root, bytes);
        mime_write_envelope(out, arena, root);
        mime_write_structure(out, arena, root, true);
        mime_find(root, numbers, 3);
        mime_fields(arena, root->header, &SLICE("Subject"), 1, true);
        mime_header_contains(root->header, SLICE("Subject"), SLICE("x"));
        mime_header_contains(root->header, (struct slice){NULL, 0}, SLICE("x"));
        mime_body_contains(root, SLICE("needle"));
        mime_date(arena, root->header, &days);
    }
    evbuffer_free(out);
    arena_free(&arena);
    return 0;
}
