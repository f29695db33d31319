/*
 * fuzz_proxy: the PROXY protocol's header.
 *
 * Beyond not crashing: a header that is whole stays the same whatever follows it, and is not whole one byte earlier; a
 * beginning that asks for more is never longer than what would be read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/proxy_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct proxy_header header, again;

    switch (proxy_parse(bytes, size, &header)) {
    case PROXY_BAD: return 0;
    case PROXY_MORE:
        if (size >= PROXY_HEADER_MAX)
            abort();
        return 0;
    case PROXY_DONE: break;
    }
    if (header.length == 0 || header.length > size || header.length > PROXY_HEADER_MAX)
        abort();
    if (proxy_parse(bytes, header.length, &again) != PROXY_DONE || again.length != header.length ||
        again.known != header.known || memcmp(&again.client, &header.client, sizeof again.client) != 0)
        abort();
    if (proxy_parse(bytes, header.length - 1, &again) != PROXY_MORE)
        abort();
    return 0;
}
