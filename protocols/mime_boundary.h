#ifndef PROTOCOLS_MIME_BOUNDARY_H
#define PROTOCOLS_MIME_BOUNDARY_H
/*
 * mime_boundary: the multiparts that are open while a message goes by, and the lines that end their parts (RFC 2046
 * 5.1.1).
 *
 * A plain value; all zero: none is open.  A level is a place in it, 0 for the outermost.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/slice.h"
#include "protocols/mime.h"

#define MIME_BOUNDARY_MAX 256 /* RFC 2046 5.1.1 has 70 */

struct mime_boundaries {
    struct {
        char boundary[MIME_BOUNDARY_MAX];
        size_t n;
        bool digest, is_signed;
        unsigned parts; /* begun */
    } open[MIME_DEPTH_MAX];
    unsigned count;
};

/* part: a multipart, whose preamble follows.  False: it is too deep, or its boundary too long. */
bool mime_boundaries_open(struct mime_boundaries *boundaries, const struct mime_part *part, struct slice boundary)
    __attribute__((warn_unused_result));
/*
 * Is the line, which begins with "--" and comes without its end, a boundary?  It is that of the outermost multipart that
 * it fits, with nothing but blanks behind it.  closing: the last one, with "--" behind.
 */
bool mime_boundaries_find(const struct mime_boundaries *boundaries, struct slice line, unsigned *level, bool *closing);
/* A part of that multipart begins; those within are over.  True: it is a digest, whose parts are messages. */
bool mime_boundaries_next(struct mime_boundaries *boundaries, unsigned level);
/* That multipart is over; its epilogue follows. */
void mime_boundaries_close(struct mime_boundaries *boundaries, unsigned level);
/* Is what comes now under a signature?  It is the first part of a multipart/signed, or in it (RFC 1847 2.1). */
bool mime_boundaries_signed(const struct mime_boundaries *boundaries);

#endif
