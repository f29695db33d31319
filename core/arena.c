/*
 * arena: memory by lifetime.
 *
 * A chain of blocks, bump-allocated.  The first block is small because most commands are; later ones
 * grow to ARENA_BLOCK_MAX.  What does not fit a block of that size gets one of its own, so that a large
 * body does not make every later block large.
 *
 * arena_reset() keeps the first block: a session's command arena is reset thousands of times, and must not
 * go to malloc for each.  Under AddressSanitizer the unused rest of a block is poisoned, so that reading past an
 * allocation or keeping a pointer across a reset is caught as it would be with malloc.
 *
 * Clean-ups run newest first, before any memory goes, so one may still use what was allocated earlier.
 */
#include "core/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_RED_ZONE 16
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ARENA_RED_ZONE 0
#endif

#define ARENA_BLOCK_FIRST 1024
#define ARENA_BLOCK_MAX (64 * 1024)
#define ARENA_ALIGN _Alignof(max_align_t)

struct block {
    struct block *next; /* older */
    size_t size, used;
    _Alignas(max_align_t) char bytes[];
};

struct cleanup {
    struct cleanup *next;
    void (*fn)(void *);
    void *arg;
};

struct arena {
    struct block *newest, *first;
    struct cleanup *cleanups;
    size_t limit, used;
};

static struct block *block_new(size_t size)
{
    struct block *block = malloc(sizeof *block + size);

    if (!block)
        abort();
    block->next = NULL;
    block->size = size;
    block->used = 0;
    ASAN_POISON_MEMORY_REGION(block->bytes, size);
    return block;
}

static void block_free(struct block *block)
{
    ASAN_UNPOISON_MEMORY_REGION(block->bytes, block->size);
    free(block);
}

struct arena *arena_new(size_t limit)
{
    struct arena *arena = calloc(1, sizeof *arena);

    if (!arena)
        abort();
    arena->limit = limit;
    return arena;
}

void arena_reset(struct arena *arena)
{
    while (arena->cleanups) {
        struct cleanup *c = arena->cleanups;

        arena->cleanups = c->next;
        c->fn(c->arg);
    }
    while (arena->newest) { /* the one that is kept need not be the oldest: a block of unusual size may lie behind it */
        struct block *old = arena->newest;

        arena->newest = old->next;
        if (old != arena->first)
            block_free(old);
    }
    arena->newest = arena->first;
    if (arena->first) {
        arena->first->next = NULL;
        ASAN_POISON_MEMORY_REGION(arena->first->bytes, arena->first->size);
        arena->first->used = 0;
    }
    arena->used = 0;
}

void arena_free(struct arena **arena)
{
    if (!*arena)
        return;
    arena_reset(*arena);
    if ((*arena)->first)
        block_free((*arena)->first);
    free(*arena);
    *arena = NULL;
}

bool arena_full(const struct arena *arena)
{
    return arena->used >= arena->limit;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

/* A block with room for need more bytes. */
static struct block *arena_room(struct arena *arena, size_t need)
{
    struct block *newest = arena->newest, *block;
    size_t size;

    if (newest && newest->size - newest->used >= need)
        return newest;
    size = newest ? newest->size * 2 : ARENA_BLOCK_FIRST;
    if (size > ARENA_BLOCK_MAX)
        size = ARENA_BLOCK_MAX;
    if (size < need)
        size = need;
    block = block_new(size);
    block->next = newest;
    arena->newest = block;
    /* Only a block of ordinary size is worth keeping over a reset. */
    if (!arena->first && size <= ARENA_BLOCK_MAX)
        arena->first = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded, need;
    struct block *block;
    char *p;

    if (size > SIZE_MAX / 2)
        abort();
    rounded = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    need = rounded + ARENA_RED_ZONE;
    block = arena_room(arena, need);
    p = block->bytes + block->used;
    block->used += need;
    arena->used += need;
    ASAN_UNPOISON_MEMORY_REGION(p, size);
    memset(p, 0, size);
    return p;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        abort();
    return arena_alloc(arena, bytes);
}

void *arena_memdup(struct arena *arena, const void *bytes, size_t size)
{
    void *copy = arena_alloc(arena, size);

    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

char *arena_slicedup(struct arena *arena, struct slice s)
{
    char *copy = arena_alloc(arena, s.n + 1);

    if (s.n)
        memcpy(copy, s.p, s.n);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_slicedup(arena, slice_str(text));
}

struct slice arena_slice(struct arena *arena, struct slice s)
{
    if (!s.p)
        return s;
    return slice_of(arena_slicedup(arena, s), s.n);
}

struct slice arena_lower(struct arena *arena, struct slice s)
{
    char *copy = arena_slicedup(arena, s);

    for (size_t i = 0; i < s.n; i++)
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] - 'A' + 'a');
    return slice_of(copy, s.n);
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    char *out;
    int n;

    assert(format); /* tells it to the compiler, which under UBSan thinks it might be */
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0)
        abort();
    out = arena_alloc(arena, (size_t)n + 1);
    vsnprintf(out, (size_t)n + 1, format, args);
    return out;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    char *out;

    va_start(args, format);
    out = arena_vprintf(arena, format, args);
    va_end(args);
    return out;
}

void arena_on_done(struct arena *arena, void (*fn)(void *), void *arg)
{
    struct cleanup *c = arena_alloc(arena, sizeof *c);

    *c = (struct cleanup){arena->cleanups, fn, arg};
    arena->cleanups = c;
}
