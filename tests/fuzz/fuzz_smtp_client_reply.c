/*
 * fuzz_smtp_client_reply: a next hop that answers anything, and content that is anything.
 *
 * Beyond not crashing: what is kept of a reply is printable, and the encoded content has the end of data at its end and
 * nowhere else, however it was cut into pieces; and BDAT carries the same lines as DATA does.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/smtp_client_body.h"
#include "protocols/smtp_client_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(struct slice input)
{
    struct smtp_client_features features = {0};
    struct smtp_client_reply reply;
    unsigned number = 0;

    smtp_client_reply_init(&reply);
    while (input.n) {
        const char *end = memchr(input.p, '\n', input.n);
        struct slice line = slice_of(input.p, end ? (size_t)(end - input.p) : input.n);

        input = slice_skip(input, line.n + (end ? 1 : 0));
        smtp_client_features_line(&features, number++, line);
        if (smtp_client_reply_line(&reply, line) != SMTP_CLIENT_MORE)
            smtp_client_reply_init(&reply);
        for (size_t i = 0; i < reply.text_size; i++)
            if (reply.text[i] < ' ' || reply.text[i] > '~')
                abort();
    }
}

static struct slice encode(struct slice input, bool chunked)
{
    struct smtp_client_body body = {.chunked = chunked};
    size_t step = input.n ? (unsigned char)input.p[0] % 16 + 1u : 1, n = 0;
    char *out = malloc(2 * input.n + 2 * (input.n / step + 1) + SMTP_CLIENT_BODY_END);

    if (!out)
        abort();
    for (struct slice rest = input; rest.n; rest = slice_skip(rest, step))
        n += smtp_client_body_encode(&body, slice_of(rest.p, rest.n < step ? rest.n : step), out + n);
    return slice_of(out, n + smtp_client_body_end(&body, out + n));
}

/* A dot at a line's start goes. */
static void check_chunked(struct slice input, const char *data, size_t n)
{
    struct slice chunked = encode(input, true);
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        if (data[i] == '.' && (i == 0 || data[i - 1] == '\n'))
            continue;
        if (at == chunked.n || chunked.p[at++] != data[i])
            abort();
    }
    if (at != chunked.n)
        abort();
    for (size_t step = 1; step < 20; step += 6) {
        struct smtp_client_body_size size = {0};
        bool clean;

        for (struct slice rest = input; rest.n; rest = slice_skip(rest, step))
            smtp_client_body_count(&size, slice_of(rest.p, rest.n < step ? rest.n : step));
        if (smtp_client_body_counted(&size, &clean) != chunked.n || clean != slice_equal(input, chunked))
            abort();
    }
    free((char *)chunked.p);
}

static void check_body(struct slice input)
{
    struct slice encoded = encode(input, false);
    const char *out = encoded.p;
    size_t n = encoded.n;

    for (size_t i = 0; i < n; i++)
        if ((out[i] == '\r') != (i + 1 < n && out[i + 1] == '\n'))
            abort();
    for (size_t i = 0; i + 3 < n; i++)
        if (memcmp(out + i, ".\r\n", 3) == 0 && (i == 0 || out[i - 1] == '\n'))
            abort();
    check_chunked(input, out, n - 3);
    free((char *)out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_reply(slice_of((const char *)data, size));
    check_body(slice_of((const char *)data, size));
    return 0;
}
