#ifndef CORE_SECRET_SIGN_H
#define CORE_SECRET_SIGN_H
/*
 * secret_sign: signatures by a private key from a file, for what we send (DKIM).  OpenSSL stays behind it; whose
 * signatures we check is core/secret_signature.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/slice.h"

struct secret_signer;

/* PEM without a passphrase: RSA of at least 2,048 bits, or Ed25519.  NULL, and why in error. */
struct secret_signer *secret_signer_load(const char *file, char *error, size_t error_size);
void secret_signer_free(struct secret_signer **signer);
/* As DKIM names it: "rsa-sha256" (RFC 6376 3.3.2), "ed25519-sha256" (RFC 8463 section 3). */
const char *secret_signer_algorithm(const struct secret_signer *signer);
/* Of the SHA-256 of the text, in the arena.  False: OpenSSL will not. */
bool secret_signer_sign(struct arena *arena, const struct secret_signer *signer, struct slice text,
                        struct slice *signature) __attribute__((warn_unused_result));

#endif
