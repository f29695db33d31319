#ifndef CORE_CURSOR_H
#define CORE_CURSOR_H
/*
 * cursor: the few steps that recursive descent needs, over a slice that shrinks from the left.
 *
 * take: if it stands here, move past it and say true.  On false the cursor has not moved.
 */
#include <stdbool.h>

#include "core/slice.h"

static inline bool cursor_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool cursor_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool cursor_is_let_dig(char c)
{
    return cursor_is_alpha(c) || cursor_is_digit(c);
}

static inline bool cursor_is_hex(char c)
{
    return cursor_is_digit(c) || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

static inline bool cursor_take(struct slice *rest, char c)
{
    if (!rest->n || *rest->p != c)
        return false;
    *rest = slice_skip(*rest, 1);
    return true;
}

static inline bool cursor_take_word(struct slice *rest, struct slice word)
{
    if (rest->n < word.n || !slice_equal_nocase(slice_of(rest->p, word.n), word))
        return false;
    *rest = slice_skip(*rest, word.n);
    return true;
}

static inline bool cursor_skip_blanks(struct slice *rest)
{
    bool any = false;
    while (rest->n && (*rest->p == ' ' || *rest->p == '\t')) {
        *rest = slice_skip(*rest, 1);
        any = true;
    }
    return any;
}

/* What lies between a cursor that stood at start and one that stands at rest. */
static inline struct slice cursor_taken(struct slice start, struct slice rest)
{
    return slice_of(start.p, start.n - rest.n);
}

#endif
