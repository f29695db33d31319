#ifndef RELAY_DKIM_H
#define RELAY_DKIM_H
/*
 * dkim: the DKIM-Signature (RFC 6376, RFC 8463) of a message that we ourselves have written.  Pure.
 *
 * Header and body are canonicalised "relaxed"; every field that the message has is signed.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/secret_sign.h"
#include "core/slice.h"

struct dkim_settings {
    const struct secret_signer *signer;
    const char *domain;   /* d= */
    const char *selector; /* s=: the key is at SELECTOR._domainkey.DOMAIN */
};
/*
 * message: in wire form, its header ended by an empty line.  *field: the field, with CRLF, to be put before it.  False:
 * it could not be signed.
 */
bool dkim_sign(struct arena *arena, const struct dkim_settings *settings, struct slice message, int64_t now_ms,
               struct slice *field) __attribute__((warn_unused_result));

/* For tests: as they are hashed (3.4.2, 3.4.4). */
struct slice dkim_relaxed_header(struct arena *arena, struct slice field);
struct slice dkim_relaxed_body(struct arena *arena, struct slice body);

#endif
