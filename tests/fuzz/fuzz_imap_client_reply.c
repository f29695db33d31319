/*
 * fuzz_imap_client_reply: an IMAP server that answers anything.
 *
 * Beyond not crashing: what is kept of its words is printable, and no more UIDs are written than there is room for.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/imap_client_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of((const char *)data, size);
    struct arena *arena = arena_new(SIZE_MAX);
    struct imap_client_response response;
    struct imap_client_mailbox mailbox;
    struct imap_client_item item;
    struct slice prefix;
    uint32_t uids[8];
    unsigned count = 0;
    uint64_t literal;
    char separator;

    (void)imap_client_literal(bytes, &literal);
    if (imap_client_response_read(bytes, &response)) {
        for (const char *p = response.text; *p; p++)
            if (*p < ' ' || *p > '~')
                abort();
        (void)imap_client_capabilities(response.rest);
        (void)imap_client_list_read(arena, response.rest, &mailbox);
        (void)imap_client_namespace_read(arena, response.rest, &prefix, &separator);
        (void)imap_client_fetch_read(response.rest, &item);
        imap_client_search_read(response.rest, uids, &count, 8);
        (void)imap_client_uid_of(response.arguments);
        (void)imap_client_validity_of(response.arguments);
        if (count > 8)
            abort();
    }
    arena_free(&arena);
    return 0;
}
