/*
 * fuzz_dns_record: records of zones that anybody may write: what goes into replies, logs and Received has no control
 * characters; TLSA and whole TXT records are copied, never longer than they came.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/dns_ask.h"
#include "core/dns_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t room)
{
    if (strlen(text) >= room)
        abort();
    for (const char *p = text; *p; p++)
        if (*p < ' ' || *p > '~')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_record record = {data, size};
    char text[40], name[256];

    dns_record_text(&record, text, sizeof text);
    check(text, sizeof text);
    if (dns_record_name(&record, name, sizeof name))
        check(name, sizeof name);
    if (size < 65536) {
        struct arena *arena = arena_new(SIZE_MAX);
        struct dns_tlsa tlsa = dns_tlsa_parse(arena, (const char *)data, (int)size);

        if (dns_text_parse(arena, (const char *)data, (int)size).n > size || tlsa.data.n > size ||
            (tlsa.data.n && memcmp(tlsa.data.p, data + 3, tlsa.data.n) != 0))
            abort();
        arena_free(&arena);
    }
    return 0;
}
