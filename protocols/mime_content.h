#ifndef PROTOCOLS_MIME_CONTENT_H
#define PROTOCOLS_MIME_CONTENT_H
/* mime_content: a message as content rules see it.  Does not wait; bounded whatever the message is. */
#include "core/arena.h"
#include "core/slice.h"
#include "relay/content_match.h"

#define MIME_CONTENT_HEADER_MAX (128 * 1024)
#define MIME_CONTENT_FIELDS_MAX 500
#define MIME_CONTENT_VALUE_MAX 4096

/* Fills in the fields; header: with or without the empty line that ends it. */
void mime_content_fields(struct arena *arena, struct slice header, struct content_message *out);
/* Fills in the parts; bytes: the whole message. */
void mime_content_parts(struct arena *arena, struct slice bytes, struct content_message *out);

#endif
