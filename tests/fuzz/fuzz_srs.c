/*
 * fuzz_srs: what a stranger says at RCPT is an address that we have rewritten, and senders that we are to rewrite.
 *
 * Beyond not crashing: nothing is read that was not written by the key; what is written fits, and leads back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/srs.h"
#include "storage/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice key = {"a key that the fuzzer does not know", 32};
    const int64_t now = INT64_C(1764000000000);
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice input = {(const char *)data, size}, out = {NULL, 0}, back = {NULL, 0}, address;

    if (srs_read(arena, &key, 1, input, now, 21, &out) == SRS_READ && (!out.n || !memchr(out.p, '@', out.n)))
        abort();
    if (srs_write(arena, key, input, SLICE("alias.test"), now, &out) == SRS_WRITTEN) {
        if (out.n > SRS_ADDRESS_MAX || (size_t)((const char *)memrchr(out.p, '@', out.n) - out.p) > SRS_LOCAL_MAX)
            abort();
        if (srs_read(arena, &key, 1, out, now, 21, &back) != SRS_READ)
            abort();
        /* An SRS1 by another leads to the first, past him. */
        if (name_address(arena, input, &address) && !slice_equal_nocase(slice_of(input.p, 4), SLICE("SRS1")) &&
            !slice_equal_nocase(address, name_key(arena, back)))
            abort();
    }
    arena_free(&arena);
    return 0;
}
