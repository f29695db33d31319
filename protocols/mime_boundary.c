/*
 * mime_boundary: open multiparts as a stack, and their boundaries.
 *
 * A line is compared with the boundaries from outside in: where an inner multipart uses, or lacks, its closing line, the
 * outer one's still ends it, as RFC 2046 5.1.2 wants.  mime.c, which has the whole message, reads by the same rule.
 */
#include "protocols/mime_boundary.h"

#include <string.h>

bool mime_boundaries_open(struct mime_boundaries *b, const struct mime_part *part, struct slice boundary)
{
    if (b->count == MIME_DEPTH_MAX || boundary.n > sizeof b->open->boundary)
        return false;
    memcpy(b->open[b->count].boundary, boundary.p, boundary.n);
    b->open[b->count].n = boundary.n;
    b->open[b->count].digest = slice_equal_nocase(part->subtype, SLICE("digest"));
    b->open[b->count].is_signed = slice_equal_nocase(part->subtype, SLICE("signed"));
    b->open[b->count].parts = 0;
    b->count++;
    return true;
}

/* "--" boundary ["--"] and blanks */
static bool is_delimiter(struct slice boundary, struct slice line, bool *closing)
{
    if (line.n < boundary.n + 2 || memcmp(line.p + 2, boundary.p, boundary.n) != 0)
        return false;
    line = slice_skip(line, boundary.n + 2);
    *closing = line.n >= 2 && memcmp(line.p, "--", 2) == 0;
    for (size_t i = *closing ? 2 : 0; i < line.n; i++)
        if (line.p[i] != ' ' && line.p[i] != '\t')
            return false;
    return true;
}

bool mime_boundaries_find(const struct mime_boundaries *b, struct slice line, unsigned *level, bool *closing)
{
    for (*level = 0; *level < b->count; ++*level)
        if (is_delimiter(slice_of(b->open[*level].boundary, b->open[*level].n), line, closing))
            return true;
    return false;
}

bool mime_boundaries_next(struct mime_boundaries *b, unsigned level)
{
    b->count = level + 1;
    b->open[level].parts++;
    return b->open[level].digest;
}

void mime_boundaries_close(struct mime_boundaries *b, unsigned level)
{
    b->count = level;
}

bool mime_boundaries_signed(const struct mime_boundaries *b)
{
    for (unsigned i = 0; i < b->count; i++)
        if (b->open[i].is_signed && b->open[i].parts == 1)
            return true;
    return false;
}
