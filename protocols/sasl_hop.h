#ifndef PROTOCOLS_SASL_HOP_H
#define PROTOCOLS_SASL_HOP_H
/*
 * sasl_hop: our side of an authentication at a next hop: SCRAM-SHA-256, SCRAM-SHA-1, PLAIN and LOGIN by Cyrus SASL,
 * OAUTHBEARER (RFC 7628) and XOAUTH2 with a token.
 *
 * Bytes in and out, as they are before base64.  What it holds of the password is wiped with it.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

#define SASL_HOP_SCRAM_SHA_256 1u
#define SASL_HOP_SCRAM_SHA_1 2u
#define SASL_HOP_PLAIN 4u
#define SASL_HOP_LOGIN 8u
#define SASL_HOP_OAUTHBEARER 16u
#define SASL_HOP_XOAUTH2 32u
#define SASL_HOP_BY_PASSWORD 15u
#define SASL_HOP_BY_TOKEN 48u

/* Of one of these; NULL: none. */
const char *sasl_hop_name(unsigned mechanism);
/* Of a name in any case; 0: none of ours. */
unsigned sasl_hop_named(struct slice name);
/* The best of a set: the one that gives the least away.  0: the set is empty. */
unsigned sasl_hop_best(unsigned set);

/* Loads libsasl's plugins; without it the first attempt does. */
void sasl_hop_start(void);

struct sasl_hop;
/* host: the server's name.  password: or the token.  NULL: libsasl does not know the mechanism. */
struct sasl_hop *sasl_hop_new(unsigned mechanism, const char *host, struct slice user, struct slice password);
void sasl_hop_free(struct sasl_hop **hop);

/* What goes with AUTH, wiped with the arena; {NULL,0}: nothing does.  Then what a challenge is answered with. */
bool sasl_hop_begin(struct sasl_hop *hop, struct arena *arena, struct slice *response)
    __attribute__((warn_unused_result));
bool sasl_hop_step(struct sasl_hop *hop, struct arena *arena, struct slice challenge, struct slice *response)
    __attribute__((warn_unused_result));
/*
 * Is a challenge to be answered?  Of a token: one, by which the server says what is wrong with it, before it refuses.
 */
bool sasl_hop_goes_on(const struct sasl_hop *hop);
/* There is no more to be said; of SCRAM: and the server has proved that it knows the password. */
bool sasl_hop_over(const struct sasl_hop *hop);

#endif
