#ifndef PROTOCOLS_IMAP_STRING_H
#define PROTOCOLS_IMAP_STRING_H
/* imap_string: text in the quoted form of IMAP (RFC 3501 section 9). */
#include "core/slice.h"

#define IMAP_QUOTED_MAX 1000 /* bytes of text; what is longer goes as a literal */

/* Writes it to `to` and returns what was written.  {NULL, 0}: it takes a literal. */
struct slice imap_quoted(struct slice text, char to[2 * IMAP_QUOTED_MAX + 2]);

#endif
