/*
 * fuzz_smtp_fields: a message in one piece and in pieces must come to the same; what comes out is no longer than what
 * went in, and goes through a second time unchanged: no Bcc is left.  What smtp_header notes is the same, however it
 * came.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/smtp_fields.h"
#include "protocols/smtp_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct kept {
    char *bytes;
    size_t n, max;
};

static void keep(void *arg, struct slice bytes)
{
    struct kept *kept = arg;
    if (bytes.n > kept->max - kept->n)
        abort();
    memcpy(kept->bytes + kept->n, bytes.p, bytes.n);
    kept->n += bytes.n;
}

/* step 0: all at once. */
static struct kept run(const char *data, size_t size, size_t step, struct smtp_fields *fields)
{
    struct kept kept = {malloc(size + 1), 0, size};
    if (!kept.bytes)
        abort();
    *fields = (struct smtp_fields){0};
    for (size_t at = 0; at < size;) {
        size_t n = step && size - at > step ? step : size - at;
        smtp_fields_feed(fields, slice_of(data + at, n), keep, &kept);
        at += n;
    }
    smtp_fields_finish(fields, keep, &kept);
    return kept;
}

static void check_same(struct kept a, struct kept b)
{
    if (a.n != b.n || memcmp(a.bytes, b.bytes, a.n) != 0)
        abort();
    free(b.bytes);
}

static struct smtp_header look(struct slice rest, size_t step)
{
    struct smtp_header header = {0};

    while (rest.n) {
        size_t n = rest.n < step ? rest.n : step;
        smtp_header_feed(&header, slice_of(rest.p, n));
        rest = slice_skip(rest, n);
    }
    smtp_header_finish(&header);
    return header;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct smtp_fields fields, again;
    struct kept whole = run(text, size, 0, &fields);

    for (size_t step = 1; step < 6; step += 2) {
        check_same(whole, run(text, size, step, &again));
        if (again.date != fields.date || again.message_id != fields.message_id)
            abort();
        if (look(slice_of(text, size), step).tls_optional != look(slice_of(text, size), SIZE_MAX).tls_optional)
            abort();
    }
    check_same(whole, run(whole.bytes, whole.n, 0, &again));
    free(whole.bytes);
    return 0;
}
