/*
 * fuzz_sasl_hop: a next hop that asks anything while we sign in.
 *
 * The lines of the input are its challenges, as they stand behind "334 "; its first byte chooses the mechanism.
 * Beyond not crashing: it never gets SCRAM over by guessing, and we do not count for longer than we are ready to.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/sasl_hop.h"
#include "protocols/sasl_hop_challenge.h"

#define STEPS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void converse(unsigned mechanism, struct slice input)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct sasl_hop *hop = sasl_hop_new(mechanism, "hop.test", SLICE("user,=x"), SLICE("password"));
    struct slice response;
    bool scram = mechanism & (SASL_HOP_SCRAM_SHA_256 | SASL_HOP_SCRAM_SHA_1);

    if (!hop || !sasl_hop_begin(hop, arena, &response))
        abort();
    for (unsigned steps = 0; steps < STEPS && input.n; steps++) {
        const char *end = memchr(input.p, '\n', input.n);
        struct slice line = slice_of(input.p, end ? (size_t)(end - input.p) : input.n), challenge;

        input = slice_skip(input, line.n + (end ? 1 : 0));
        if (!sasl_hop_challenge_decode(arena, line, &challenge) || !sasl_hop_step(hop, arena, challenge, &response))
            break;
    }
    if (scram && sasl_hop_over(hop))
        abort();
    sasl_hop_free(&hop);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned mechanisms[] = {SASL_HOP_SCRAM_SHA_256, SASL_HOP_SCRAM_SHA_1, SASL_HOP_PLAIN,
                                          SASL_HOP_LOGIN,         SASL_HOP_OAUTHBEARER, SASL_HOP_XOAUTH2};
    struct slice input = slice_of((const char *)data, size);

    (void)!sasl_hop_challenge_first(input);
    (void)!sasl_hop_challenge_final(input);
    if (size)
        converse(mechanisms[data[0] % 6], slice_skip(input, 1));
    return 0;
}
