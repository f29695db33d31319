#ifndef CORE_SLICE_H
#define CORE_SLICE_H
/*
 * slice: a borrowed run of bytes.
 *
 * A slice owns nothing and need not end in NUL.  Whoever hands one out says how long the bytes live;
 * most point into an arena or into the line that the loop is dispatching.  {NULL, 0} is "absent",
 * {non-NULL, 0} is "empty": protocols distinguish the two (MAIL FROM:<> against no MAIL at all).
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *p;
    size_t n;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
/* For printf's "%.*s". */
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice_of(const char *p, size_t n)
{
    return (struct slice){p, n};
}

static inline struct slice slice_str(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive, whatever the locale is: the daemon never calls setlocale(). */
static inline bool slice_equal_nocase(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

static inline struct slice slice_skip(struct slice s, size_t n)
{
    return n <= s.n ? slice_of(s.p + n, s.n - n) : slice_of(s.p + s.n, 0);
}

#endif
