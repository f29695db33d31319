/*
 * fuzz_secret_ring: the file of keys, and sealed secrets out of a database that somebody else may have written to.
 *
 * Beyond not crashing: nothing that the ring has not sealed opens, what it has sealed does, and not when a bit of it is
 * another.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/secret_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try(const struct secret_ring *ring, struct slice input)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice plain, sealed;

    if (secret_ring_open(ring, arena, SLICE("fuzz"), input, &plain) == SECRET_RING_OPENED)
        abort();
    sealed = secret_ring_seal(ring, arena, SLICE("fuzz"), input);
    if (!secret_ring_current(ring, sealed) ||
        secret_ring_open(ring, arena, SLICE("fuzz"), sealed, &plain) != SECRET_RING_OPENED ||
        !slice_equal(plain, input))
        abort();
    ((char *)sealed.p)[input.n % sealed.n] ^= 1;
    if (secret_ring_open(ring, arena, SLICE("fuzz"), sealed, &plain) == SECRET_RING_OPENED)
        abort();
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[200];
    struct slice input = slice_of((const char *)data, size);
    struct secret_ring *ring = secret_ring_parse(input, error, sizeof error);

    if (!ring)
        ring = secret_ring_parse(SLICE("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), error, sizeof error);
    if (!ring || !secret_ring_count(ring) || secret_ring_count(ring) > SECRET_RING_KEYS_MAX)
        abort();
    try(ring, input);
    secret_ring_free(&ring);
    return 0;
}
