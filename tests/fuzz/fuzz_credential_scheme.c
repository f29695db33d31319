/*
 * fuzz_credential_scheme: password hashes of other systems.
 *
 * Beyond not crashing: what was admitted is admitted again in its stored form, and stays as it is; and a digest comes
 * apart again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "storage/credential_scheme.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(1 << 20);
    struct slice input = slice_of((const char *)data, size), stored, again;
    struct credential_digest digest;

    (void)credential_scheme_digest(input, &digest);
    if (!credential_scheme_admit(arena, input, &stored)) {
        if (credential_scheme_admit(arena, stored, &again) || !slice_equal(stored, again))
            abort();
        if (credential_scheme_digest(stored, &digest) != (stored.p[0] == '{'))
            abort();
    }
    arena_free(&arena);
    return 0;
}
