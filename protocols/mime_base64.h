#ifndef PROTOCOLS_MIME_BASE64_H
#define PROTOCOLS_MIME_BASE64_H
/*
 * mime_base64: bytes as lines of base64 (RFC 2045 6.8), in pieces of any size.  Pure; zeroed is ready.
 *
 * A line's end is written before the next line, not behind the last one.
 */
#include <stddef.h>

#include "core/slice.h"

#define MIME_BASE64_LINE 76

struct mime_base64 {
    unsigned char group[3];
    unsigned n;      /* of them, waiting */
    unsigned column; /* 0: nothing was written */
};

/* Room for what n bytes become, with those that wait. */
#define MIME_BASE64_ROOM(n) (((n) + 4) / 3 * 4 + ((n) / 57 + 2) * 2)
/* How many bytes were written. */
size_t mime_base64_encode(struct mime_base64 *base64, struct slice in, char *out);
/* The last group, with its padding: at most 6 bytes.  The state stays as it is, but for them. */
size_t mime_base64_end(struct mime_base64 *base64, char *out);

#endif
