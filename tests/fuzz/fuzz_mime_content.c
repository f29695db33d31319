/*
 * fuzz_mime_content: any bytes as a message that content rules are asked about, and the first line as a pattern.  What
 * comes out is bounded; a pattern is taken or refused with words; no match takes for ever.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/pattern.h"
#include "protocols/mime_content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void match_all(const struct pattern *pattern, const struct content_message *m)
{
    for (unsigned i = 0; i < m->field_count; i++) {
        if (m->fields[i].value.n > 4 * MIME_CONTENT_VALUE_MAX + 64 || !m->fields[i].name.n)
            abort();
        pattern_match(pattern, m->fields[i].value);
    }
    for (unsigned i = 0; i < m->part_count; i++) {
        if (!m->parts[i].type.n)
            abort();
        pattern_match(pattern, m->parts[i].name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice all = slice_of(arena_slicedup(arena, slice_of((const char *)data, size)), size), line = all;
    const char *end = size ? memchr(all.p, '\n', size) : NULL;
    struct content_message m = {0};
    char why[PATTERN_WHY_SIZE] = "";

    if (end)
        line = slice_of(all.p, (size_t)(end - all.p));
    struct pattern *pattern = pattern_new(line, why);
    if (!pattern && !*why)
        abort();
    struct slice message = end ? slice_skip(all, line.n + 1) : all;
    mime_content_fields(arena, message, &m);
    mime_content_parts(arena, message, &m);
    if (m.field_count > MIME_CONTENT_FIELDS_MAX || m.part_count > 200)
        abort();
    if (pattern)
        match_all(pattern, &m);
    pattern_free(&pattern);
    arena_free(&arena);
    return 0;
}
