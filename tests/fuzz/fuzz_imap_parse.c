/*
 * fuzz_imap_parse: every production on the same bytes.  Beyond not crashing: what is taken lies in the input, a name
 * that decodes encodes to itself, and a pattern always comes to an answer.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/imap_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct imap_cursor start = {(const char *)data, (const char *)data + size, arena}, c;
    struct slice text, charset;
    struct imap_fetch fetch;
    struct imap_flags flags;
    struct imap_key *key;
    struct imap_set set;
    int64_t value;

    c = start;
    if (imap_take_tag(&c, &text) && imap_take_char(&c, ' ') && imap_take_atom(&c, &text) && c.p > c.end)
        abort();
    c = start;
    if (imap_take_astring(&c, &text) && text.n > size)
        abort();
    c = start;
    if (imap_take_set(&c, &set)) {
        imap_set_resolve(&set, 10);
        for (unsigned i = 1; i < set.count; i++)
            if (set.ranges[i].low <= (uint64_t)set.ranges[i - 1].high + 1)
                abort();
        imap_set_contains(&set, 5);
    }
    c = start;
    (void)imap_take_flags_of_store(&c, &flags);
    c = start;
    (void)imap_take_date_time(&c, &value);
    c = start;
    (void)imap_take_fetch(&c, &fetch);
    c = start;
    (void)imap_take_search(&c, &key, &charset);
    if (size < 200) {
        struct slice in = slice_of(start.p, size);

        imap_pattern_matches(in, SLICE("INBOX/aaaaaaaaaaaaaaaaaaaa"));
        if (imap_utf7_decode(arena, in, &text) && !slice_equal(imap_utf7_encode(arena, text), in))
            abort();
    }
    arena_free(&arena);
    return 0;
}
