#ifndef PROTOCOLS_MIME_BINARY_H
#define PROTOCOLS_MIME_BINARY_H
/*
 * mime_binary: what came as BODY=BINARYMIME (RFC 3030 section 3) made into a message of lines, while it comes.
 *
 * A filter over the message's bytes, in pieces of any size; the result does not depend on them.  What comes out has no
 * NUL and no CR or LF alone, no part in it says that it is binary, and all its parts decode to what came.  Where
 * nothing says "binary" nothing is changed.
 *
 * Memory: one part's header, up to header_max, and some 10 KiB.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/slice.h"

#define MIME_BINARY_LINE_MAX 1024 /* a boundary's line, with blanks at its end */

enum mime_binary_fault {
    MIME_BINARY_FINE,
    MIME_BINARY_UNDECLARED, /* a NUL, or a CR or LF alone, where no part says "binary" */
    MIME_BINARY_SIGNED,     /* it would have to be changed under a signature */
    MIME_BINARY_MALFORMED,  /* what is where cannot be told for certain */
};

struct mime_binary;

struct mime_binary *mime_binary_new(size_t header_max);
void mime_binary_free(struct mime_binary **binary);

typedef void mime_binary_sink(void *arg, struct slice bytes);
/* Hands what the message becomes to sink; after a fault no more. */
void mime_binary_feed(struct mime_binary *binary, struct slice bytes, mime_binary_sink *sink, void *arg);
/* The message is over. */
void mime_binary_finish(struct mime_binary *binary, mime_binary_sink *sink, void *arg);

/* The first that was found. */
enum mime_binary_fault mime_binary_fault(const struct mime_binary *binary);
/* How many fields Content-Transfer-Encoding were changed. */
unsigned mime_binary_converted(const struct mime_binary *binary);

#endif
