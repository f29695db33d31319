#ifndef PROTOCOLS_IMAP_CONTENT_H
#define PROTOCOLS_IMAP_CONTENT_H
/*
 * imap_content: one message's bytes and structure, while FETCH or SEARCH works on it.  A short message is in the
 * arena; a long one is loaded chunk by chunk into a spool, whose file is mapped, so that it never stands in memory as
 * a whole.
 */
#include "core/arena.h"
#include "core/spool.h"
#include "core/task.h"
#include "protocols/mime.h"
#include "storage/status.h"

struct imap_content {
    struct slice bytes;
    struct spool *spool;
    struct mime_part *root; /* made when first asked for */
};

/* NONE: the message is gone. */
AWAITS enum db_status imap_content_open(struct arena *arena, int64_t message_id, uint64_t size,
                                        struct imap_content *out) __attribute__((warn_unused_result));
/* The same of a short message whose bytes are at hand, packed; {NULL, 0}: it is gone. */
enum db_status imap_content_of(struct arena *arena, struct slice packed, struct imap_content *out)
    __attribute__((warn_unused_result));
const struct mime_part *imap_content_root(struct arena *arena, struct imap_content *content);
void imap_content_close(struct imap_content *content);

#endif
