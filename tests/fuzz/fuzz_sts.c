/*
 * fuzz_sts: what a stranger publishes as his MTA-STS record and policy.
 *
 * Beyond not crashing: an id can be stored and logged, a policy that is taken has what it must have and no more, and names
 * the hosts that it lists.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    struct arena *arena = arena_new(SIZE_MAX);
    struct sts_policy policy;
    char id[STS_ID_SIZE];

    if (sts_record_parse(&input, 1, id) && (!*id || strspn(id, "-_.; ") > 0 || strlen(id) >= STS_ID_SIZE))
        abort();
    if (sts_policy_parse(arena, input, &policy)) {
        if (policy.max_age > STS_MAX_AGE || policy.mx_count > STS_PATTERNS_MAX ||
            (policy.mode != STS_NONE && !policy.mx_count))
            abort();
        for (unsigned i = 0; i < policy.mx_count; i++) {
            if (!*policy.mx[i] || strlen(policy.mx[i]) > 253)
                abort();
            if (*policy.mx[i] != '*' && !sts_policy_names(&policy, policy.mx[i]))
                abort();
        }
    }
    arena_free(&arena);
    return 0;
}
