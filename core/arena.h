#ifndef CORE_ARENA_H
#define CORE_ARENA_H
/*
 * arena: memory by lifetime.
 *
 * Three lifetimes exist in this program: session, transaction (MAIL to end of data), command.  Each
 * has an arena, handed down to whoever allocates for it; nothing in one is freed singly.
 *
 * The limit is soft.  arena_alloc() never returns NULL (a process that is truly out of memory aborts);
 * instead the code that lets a stranger add one more bounded thing (a recipient, a command, a search
 * key) asks arena_full() first and answers 452, NO or -ERR.  As one command line is bounded, so is the
 * overshoot.  This keeps the error branch where the protocol has a reply for it, and nowhere else.
 *
 * Arenas belong to one thread.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/slice.h"

struct arena;

/* limit: bytes after which arena_full() is true. */
struct arena *arena_new(size_t limit);
/* Runs the clean-ups, newest first, frees everything and nulls *arena.  NULL inside is allowed. */
void arena_free(struct arena **arena);
/* The same, but the arena stays usable and keeps its first block. */
void arena_reset(struct arena *arena);

bool arena_full(const struct arena *arena);
size_t arena_used(const struct arena *arena);

/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull, malloc));
/* Zeroed array; aborts on overflow of count * size. */
void *arena_array(struct arena *arena, size_t count, size_t size) __attribute__((returns_nonnull, malloc));
void *arena_memdup(struct arena *arena, const void *bytes, size_t size);
/* Copies end in NUL, which a slice does not count. */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_slicedup(struct arena *arena, struct slice s);
struct slice arena_slice(struct arena *arena, struct slice s);
/* ASCII lower case copy. */
struct slice arena_lower(struct arena *arena, struct slice s);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* fn(arg) runs when the arena is reset or freed: for PGresult, file descriptors, secrets to wipe. */
void arena_on_done(struct arena *arena, void (*fn)(void *), void *arg);

#endif
