/*
 * fuzz_tls_identity: certificates and a key that an administrator has sent, or somebody in his place.
 *
 * The input is both, with a line "%%" between.  Beyond not crashing: a refusal says why, and of which.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/tls_identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *middle = size ? memmem(text, size, "%%\n", 3) : NULL;
    struct slice certificates = slice_of(text, middle ? (size_t)(middle - text) : size);
    struct slice key = middle ? slice_of(middle + 3, size - certificates.n - 3) : SLICE("");
    char why[100] = "", fingerprint[TLS_FINGERPRINT_SIZE];
    struct tls_identity *identity = tls_identity_new(certificates, key, why, sizeof why);
    int64_t expires_ms;

    if (!identity && strncmp(why, "the certificate", 15) != 0 && strncmp(why, "the key", 7) != 0)
        abort();
    if (tls_identity_look(certificates, fingerprint, &expires_ms) && strlen(fingerprint) != TLS_FINGERPRINT_SIZE - 1)
        abort();
    tls_identity_free(&identity);
    return 0;
}
