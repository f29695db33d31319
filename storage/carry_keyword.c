/*
 * carry_keyword: $Held and $Delivered.
 */
#include "storage/carry_keyword.h"

bool carry_keyword_is(struct slice keyword)
{
    return slice_equal_nocase(keyword, SLICE(CARRY_HELD)) || slice_equal_nocase(keyword, SLICE(CARRY_DELIVERED));
}

struct slice *carry_keyword_others(struct arena *arena, const struct slice *keywords, unsigned *count)
{
    struct slice *his = arena_array(arena, *count + 1, sizeof *his);
    unsigned n = 0;

    for (unsigned i = 0; i < *count; i++)
        if (!carry_keyword_is(keywords[i]))
            his[n++] = keywords[i];
    *count = n;
    return his;
}
