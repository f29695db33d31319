/*
 * secret_box: bytes that only the holder of one key can read or make.
 *
 * AES-256-GCM by OpenSSL.  The nonce is random, for there is no counter that several nodes and a restored backup could
 * share. Two equal nonces of 96 bits under one key would give both texts away: SP 800-38D (8.3) permits 2^32 boxes of
 * a key for that reason.  Secrets are sealed when an administrator sets one or a token server gives a new one, which
 * is some thousands a day at most: 2^32 is far, and a new key in the ring begins anew.
 *
 * GCM says whether a text is true only at its end.  Until then it is written to the buffer that the caller will get,
 * and is wiped at once when the end is wrong, so that nobody acts on a text that somebody else has made.
 *
 * What cannot fail for any input (a context, a cipher that every OpenSSL 3 has) aborts, as in core/secret.
 */
#include "core/secret_box.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "core/secret.h"

/* Key and nonce, then what the box is bound to. */
static EVP_CIPHER_CTX *begin(const unsigned char *key, const unsigned char *nonce, struct slice bound, int seal)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int n;

    if (!context || bound.n > SECRET_BOX_MAX ||
        EVP_CipherInit_ex2(context, EVP_aes_256_gcm(), key, nonce, seal, NULL) != 1 ||
        EVP_CipherUpdate(context, NULL, &n, (const unsigned char *)bound.p, (int)bound.n) != 1)
        abort();
    return context;
}

struct slice secret_box_seal(struct arena *arena, const unsigned char key[SECRET_BOX_KEY], struct slice bound,
                             struct slice plain)
{
    size_t size = SECRET_BOX_NONCE + plain.n + SECRET_BOX_TAG;
    unsigned char *box, *text, *tag;
    EVP_CIPHER_CTX *context;
    int n = 0, rest = 0;

    if (plain.n > SECRET_BOX_MAX)
        abort();
    box = arena_alloc(arena, size);
    text = box + SECRET_BOX_NONCE;
    tag = text + plain.n;
    secret_random(box, SECRET_BOX_NONCE);
    context = begin(key, box, bound, 1);
    if ((plain.n && EVP_CipherUpdate(context, text, &n, (const unsigned char *)plain.p, (int)plain.n) != 1) ||
        EVP_CipherFinal_ex(context, tag, &rest) != 1 || (size_t)n + (size_t)rest != plain.n ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, SECRET_BOX_TAG, tag) != 1)
        abort();
    EVP_CIPHER_CTX_free(context); /* clears the key that it held */
    return slice_of((const char *)box, size);
}

bool secret_box_open(struct arena *arena, const unsigned char key[SECRET_BOX_KEY], struct slice bound, struct slice box,
                     struct slice *plain)
{
    const unsigned char *bytes = (const unsigned char *)box.p;
    unsigned char tag[SECRET_BOX_TAG], none[1];
    EVP_CIPHER_CTX *context;
    size_t size;
    char *text;
    int n = 0;
    bool good;

    if (box.n < SECRET_BOX_NONCE + SECRET_BOX_TAG || box.n - SECRET_BOX_NONCE - SECRET_BOX_TAG > SECRET_BOX_MAX ||
        bound.n > SECRET_BOX_MAX)
        return false;
    size = box.n - SECRET_BOX_NONCE - SECRET_BOX_TAG;
    text = secret_space(arena, size);
    memcpy(tag, bytes + SECRET_BOX_NONCE + size, sizeof tag);
    context = begin(key, bytes, bound, 0);
    good = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1 &&
           (!size || EVP_CipherUpdate(context, (unsigned char *)text, &n, bytes + SECRET_BOX_NONCE, (int)size) == 1) &&
           EVP_CipherFinal_ex(context, none, &n) == 1;
    EVP_CIPHER_CTX_free(context);
    if (!good) {
        secret_wipe(text, size);
        return false;
    }
    *plain = slice_of(text, size);
    return true;
}
