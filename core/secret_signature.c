/*
 * secret_signature: public keys from their numbers, and signatures by them.
 *
 * Two kinds are enough: RS256 is what every issuer can, ES256 what newer ones do (RFC 7518 section 3.1 calls the one
 * recommended and the other "recommended+").  None of them is secret; they live here because OpenSSL does.
 */
#include "core/secret_signature.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "core/secret.h"

#define RSA_BITS_MIN 2048
#define RSA_BYTES_MAX 1024
#define COORDINATE 32

struct secret_key {
    EVP_PKEY *pkey;
    bool ec;
};

static struct secret_key *make(const char *kind, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    EVP_PKEY *pkey = NULL;
    struct secret_key *key = NULL;

    if (parameters && context && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, parameters) == 1) {
        key = calloc(1, sizeof *key);
        if (!key)
            abort();
        *key = (struct secret_key){pkey, strcmp(kind, "EC") == 0};
    }
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return key;
}

struct secret_key *secret_key_rsa(struct slice modulus, struct slice exponent)
{
    struct secret_key *key = NULL;
    OSSL_PARAM_BLD *build;
    BIGNUM *n, *e;

    if (modulus.n > RSA_BYTES_MAX || exponent.n == 0 || exponent.n > 8)
        return NULL;
    build = OSSL_PARAM_BLD_new();
    n = BN_bin2bn((const unsigned char *)modulus.p, (int)modulus.n, NULL);
    e = BN_bin2bn((const unsigned char *)exponent.p, (int)exponent.n, NULL);
    if (build && n && e && BN_num_bits(n) >= RSA_BITS_MIN &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        key = make("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return key;
}

struct secret_key *secret_key_p256(struct slice x, struct slice y)
{
    unsigned char point[1 + 2 * COORDINATE] = {POINT_CONVERSION_UNCOMPRESSED};
    struct secret_key *key = NULL;
    OSSL_PARAM_BLD *build;

    if (x.n != COORDINATE || y.n != COORDINATE)
        return NULL;
    memcpy(point + 1, x.p, COORDINATE);
    memcpy(point + 1 + COORDINATE, y.p, COORDINATE);
    build = OSSL_PARAM_BLD_new();
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
        key = make("EC", build); /* a point that is not on the curve is refused here */
    OSSL_PARAM_BLD_free(build);
    return key;
}

void secret_key_free(struct secret_key **key)
{
    if (!*key)
        return;
    EVP_PKEY_free((*key)->pkey);
    free(*key);
    *key = NULL;
}

/* OpenSSL wants DER (RFC 3279 2.2.3).  The length, 0: it cannot be. */
static size_t as_der(struct slice signature, unsigned char **out)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    const unsigned char *bytes = (const unsigned char *)signature.p;
    int n = 0;

    *out = NULL;
    if (sig &&
        ECDSA_SIG_set0(sig, BN_bin2bn(bytes, COORDINATE, NULL), BN_bin2bn(bytes + COORDINATE, COORDINATE, NULL)) == 1)
        n = i2d_ECDSA_SIG(sig, out);
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t)n : 0;
}

bool secret_key_verify(const struct secret_key *key, struct slice text, struct slice signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char *der = NULL;
    size_t n = signature.n;
    bool good = context && (!key->ec || (signature.n == 2 * COORDINATE && (n = as_der(signature, &der)) > 0));

    good = good && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
           EVP_DigestVerify(context, der ? der : (const unsigned char *)signature.p, n, (const unsigned char *)text.p,
                            text.n) == 1;
    OPENSSL_free(der);
    EVP_MD_CTX_free(context);
    return good;
}

bool secret_base64url_decode(struct arena *arena, struct slice in, struct slice *out)
{
    size_t padding = (4 - in.n % 4) % 4;
    char *text = arena_alloc(arena, in.n + 4);

    if (padding == 3)
        return false;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == '+' || in.p[i] == '/' || in.p[i] == '=')
            return false;
        text[i] = in.p[i] == '-' ? '+' : in.p[i] == '_' ? '/' : in.p[i];
    }
    memset(text + in.n, '=', padding);
    return secret_base64_decode(arena, slice_of(text, in.n + padding), out);
}
