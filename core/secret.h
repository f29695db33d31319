#ifndef CORE_SECRET_H
#define CORE_SECRET_H
/* secret: randomness, comparison in constant time, wiping, digests, base64.  OpenSSL stays behind it. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

void secret_random(void *out, size_t n); /* aborts when the kernel gives none */
/* Time depends on the lengths only. */
bool secret_equal(struct slice a, struct slice b);
void secret_wipe(void *p, size_t n);
/* Zeroed, n bytes and a NUL behind them, wiped when the arena ends. */
char *secret_space(struct arena *arena, size_t n);
/* A copy in such a space. */
struct slice secret_slice(struct arena *arena, struct slice s);

#define SECRET_SHA256_SIZE 32
void secret_sha256(struct slice in, unsigned char out[SECRET_SHA256_SIZE]);
void secret_hmac_sha256(struct slice key, struct slice in, unsigned char out[SECRET_SHA256_SIZE]);
/* For password hashes of other systems; MD5 and SHA-1 are not for anything new. */
enum secret_digest { SECRET_MD5, SECRET_SHA1, SECRET_SHA256, SECRET_SHA512 };
#define SECRET_DIGEST_MAX 64
size_t secret_digest_size(enum secret_digest digest);
/* Of a followed by b.  False: this OpenSSL does not do it (MD5 under FIPS rules). */
bool secret_digest(enum secret_digest digest, struct slice a, struct slice b, unsigned char out[SECRET_DIGEST_MAX]);

/* out has secret_digest_size().  Aborts if this OpenSSL does not do it. */
void secret_hmac(enum secret_digest digest, struct slice key, struct slice in, unsigned char *out);

/* RFC 8018; for SCRAM (RFC 5802, Hi()); likewise.  Slow by intent: off the loop (core/offload.h). */
void secret_pbkdf2(enum secret_digest digest, struct slice password, struct slice salt, unsigned iterations,
                   unsigned char *out);

/* RFC 4648 section 4, with padding; decode is strict and false on anything else. */
struct slice secret_base64(struct arena *arena, struct slice in);
bool secret_base64_decode(struct arena *arena, struct slice in, struct slice *out);

#endif
