#ifndef PROTOCOLS_SMTP_HEADER_H
#define PROTOCOLS_SMTP_HEADER_H
/*
 * smtp_header: what a message's header says to the relays on its way, noted while it comes.  Pure; changes no byte.
 *
 * Zero-initialised is ready for the message's first byte; bytes may come in pieces of any size, in wire form without
 * dot-stuffing.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/slice.h"

#define SMTP_HEADER_START_MAX 64 /* so much of a field is looked at */

struct smtp_header {
    bool over;            /* the empty line was seen */
    bool eight_bit;       /* it is not ASCII */
    bool eight_bit_after; /* what follows it is not */
    bool tls_optional;    /* "TLS-Required: No" (RFC 8689 section 3) */
    bool missing;         /* the message does not begin with a field: it is all body */

    bool first_seen;

    bool new_line; /* a line has ended, and nothing came since */
    char start[SMTP_HEADER_START_MAX];
    unsigned n; /* of the field, unfolded; past the end: it is too long to matter */
};

void smtp_header_feed(struct smtp_header *header, struct slice bytes);
/* The message is over. */
void smtp_header_finish(struct smtp_header *header);

#endif
