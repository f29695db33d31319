/*
 * mime_base64: base64 in lines of 76 characters.
 *
 *     three octets become four characters; one or two at the end are filled up with "="          (RFC 4648 section 4)
 *
 * Groups are taken from the input as they stand there; only what a piece leaves over, one or two octets, is kept.
 */
#include "protocols/mime_base64.h"

static char *put_group(struct mime_base64 *base64, const unsigned char *group, unsigned n, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = (unsigned)group[0] << 16 | (n > 1 ? (unsigned)group[1] << 8 : 0) | (n > 2 ? group[2] : 0);

    if (base64->column == MIME_BASE64_LINE) {
        *to++ = '\r';
        *to++ = '\n';
        base64->column = 0;
    }
    *to++ = digits[bits >> 18];
    *to++ = digits[bits >> 12 & 63];
    *to++ = n > 1 ? digits[bits >> 6 & 63] : '=';
    *to++ = n > 2 ? digits[bits & 63] : '=';
    base64->column += 4;
    return to;
}

size_t mime_base64_encode(struct mime_base64 *base64, struct slice in, char *out)
{
    char *to = out;

    while (in.n) {
        if (!base64->n && in.n >= 3) {
            to = put_group(base64, (const unsigned char *)in.p, 3, to);
            in = slice_skip(in, 3);
            continue;
        }
        base64->group[base64->n++] = (unsigned char)*in.p;
        in = slice_skip(in, 1);
        if (base64->n == 3) {
            to = put_group(base64, base64->group, 3, to);
            base64->n = 0;
        }
    }
    return (size_t)(to - out);
}

size_t mime_base64_end(struct mime_base64 *base64, char *out)
{
    char *to = base64->n ? put_group(base64, base64->group, base64->n, out) : out;

    base64->n = 0;
    return (size_t)(to - out);
}
