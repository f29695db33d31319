#ifndef CORE_SPOOL_H
#define CORE_SPOOL_H
/*
 * spool: the bytes of one message while it is on its way through this process.
 *
 * In memory up to SPOOL_MEMORY, beyond that in an unlinked temporary file, so that 1,000 clients each
 * sending 50 MB cost disk, not memory.  Reference-counted, because the session that received a message
 * and the delivery that sends it on share it.  Content is wire form: CRLF line ends, no dot-stuffing,
 * no final dot.  A spool is *not* durable: 250 depends on the database only.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/slice.h"

#define SPOOL_MEMORY (256 * 1024)

struct spool;

void spool_set_directory(const char *path); /* default: $TMPDIR or /var/tmp */

struct spool *spool_new(void);
struct spool *spool_ref(struct spool *spool);
void spool_unref(struct spool **spool);

/* False: the disk is full or failing (452 4.3.1); the spool then stays failed. */
bool spool_append(struct spool *spool, struct slice bytes) __attribute__((warn_unused_result));
bool spool_failed(const struct spool *spool);
size_t spool_size(const struct spool *spool);
/*
 * Up to n bytes from offset.  For a spool in memory *out points into it; otherwise into buf, which must
 * hold n bytes.  False on a read error.  At the end: true with out->n == 0.
 */
bool spool_read(struct spool *spool, size_t offset, size_t n, char *buf, struct slice *out)
    __attribute__((warn_unused_result));

/*
 * All of it as one run of bytes: the buffer, or the file mapped read-only.  Valid until the last reference goes;
 * append no more.  False when it cannot be mapped, or has failed.
 */
bool spool_map(struct spool *spool, struct slice *out) __attribute__((warn_unused_result));

#endif
