#ifndef PROTOCOLS_SASL_HOP_CHALLENGE_H
#define PROTOCOLS_SASL_HOP_CHALLENGE_H
/* sasl_hop_challenge: what a server asks, looked at before libsasl sees it.  Pure. */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

#define SASL_HOP_ITERATIONS_MAX 65536 /* a tenth of a second */

/* text: behind "334 ", base64.  False: it is not, or it is longer than any mechanism's. */
bool sasl_hop_challenge_decode(struct arena *arena, struct slice text, struct slice *challenge)
    __attribute__((warn_unused_result));
/* SCRAM's server-first-message (RFC 5802 section 7), with a work that we are ready to do. */
bool sasl_hop_challenge_first(struct slice challenge) __attribute__((warn_unused_result));
/* SCRAM's server-final-message. */
bool sasl_hop_challenge_final(struct slice challenge) __attribute__((warn_unused_result));

#endif
