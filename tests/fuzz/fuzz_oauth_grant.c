/*
 * fuzz_oauth_grant: a token server that answers anything.
 *
 * Beyond not crashing: a token is of visible ASCII, bounded, and lives between a second and a day; and what is told of
 * a failure is of printable ASCII and short.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/oauth_grant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct slice text, char least, size_t max)
{
    if (text.n > max)
        abort();
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < least || text.p[i] > '~')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned statuses[] = {200, 400};

    for (unsigned i = 0; i < 2; i++) {
        struct arena *arena = arena_new(SIZE_MAX);
        struct oauth_granted out;
        const char *why = oauth_grant_read(arena, statuses[i], slice_of((const char *)data, size), &out);

        if (why) {
            check(slice_str(why), ' ', 200);
        } else {
            check(out.token, '!', OAUTH_GRANT_TOKEN_MAX);
            check(out.refresh_token, '!', OAUTH_GRANT_TOKEN_MAX);
            if (!out.token.n || out.lifetime_s < 1 || out.lifetime_s > 86400)
                abort();
        }
        arena_free(&arena);
    }
    return 0;
}
