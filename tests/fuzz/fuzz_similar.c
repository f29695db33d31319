/*
 * fuzz_similar: any bytes as a message that is compared with others.  The hash is the same each time, and the subject is
 * what may be stored and shown.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/idn.h"
#include "protocols/similar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice all = slice_of(arena_slicedup(arena, slice_of((const char *)data, size)), size);
    struct similar once, twice;

    similar_of(arena, all, &once);
    similar_of(arena, all, &twice);
    if (once.hash != twice.hash || once.subject.n > SIMILAR_SUBJECT_MAX || !idn_is_utf8(once.subject))
        abort();
    for (size_t i = 0; i < once.subject.n; i++)
        if ((unsigned char)once.subject.p[i] < ' ')
            abort();
    arena_free(&arena);
    return 0;
}
