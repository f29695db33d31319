#ifndef CORE_SECRET_SIGNATURE_H
#define CORE_SECRET_SIGNATURE_H
/* secret_signature: verifying what others have signed (RFC 7518: RS256, ES256).  OpenSSL stays behind it. */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

struct secret_key; /* a public key */
/*
 * RSA of at least 2,048 bits: modulus and exponent; EC on P-256: two coordinates of 32 bytes.  All big-endian.  NULL:
 * it is none.
 */
struct secret_key *secret_key_rsa(struct slice modulus, struct slice exponent);
struct secret_key *secret_key_p256(struct slice x, struct slice y);
void secret_key_free(struct secret_key **key);

/* RSA: PKCS #1 v1.5 with SHA-256; EC: ECDSA with SHA-256, R and S of 32 bytes each, one behind the other. */
bool secret_key_verify(const struct secret_key *key, struct slice text, struct slice signature);

/* RFC 4648 section 5, without padding (RFC 7515 section 2).  False: it is not. */
bool secret_base64url_decode(struct arena *arena, struct slice in, struct slice *out);

#endif
