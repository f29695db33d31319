/*
 * fuzz_mime_author: any bytes as the header of a submission.  Beyond not crashing: nobody is found without an address
 * or in a field that is not asked for, and a From that stands before all others is found, and hides none of them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct slice first = {"From: <first@x.test>\r\n", 22};

static void check(const struct mime_author *authors, unsigned count)
{
    if (count > MIME_AUTHORS_MAX)
        abort();
    for (unsigned i = 0; i < count; i++)
        if (!authors[i].address.n || (strcmp(authors[i].field, "From") != 0 && strcmp(authors[i].field, "Sender") != 0))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct mime_author alone[MIME_AUTHORS_MAX], behind[MIME_AUTHORS_MAX];
    char *both = arena_alloc(arena, first.n + size + 1);
    unsigned count, more;

    memcpy(both, first.p, first.n);
    if (size)
        memcpy(both + first.n, data, size);
    if (memchr(both, '\0', first.n + size) == NULL) { /* NUL is refused where messages come in */
        bool understood = mime_authors(arena, slice_of(both + first.n, size), alone, &count);

        check(alone, count);
        /* At a line's start a blank would make it one field with the first. */
        if (understood && count < MIME_AUTHORS_MAX && size && both[first.n] != ' ' && both[first.n] != '\t') {
            if (!mime_authors(arena, slice_of(both, first.n + size), behind, &more) || more != count + 1 ||
                !slice_equal(behind[0].address, SLICE("first@x.test")))
                abort();
            for (unsigned i = 0; i < count; i++)
                if (!slice_equal(behind[i + 1].address, alone[i].address))
                    abort();
        }
    }
    arena_free(&arena);
    return 0;
}
