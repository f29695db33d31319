#ifndef STORAGE_BODY_H
#define STORAGE_BODY_H
/*
 * body: a message's bytes at rest: chunks of BODY_CHUNK, each a zstd frame of its own, so that a 50 MB
 * message never stands whole in memory and a partial FETCH reads only the chunks it needs.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/spool.h"
#include "core/task.h"
#include "storage/status.h"

#define BODY_CHUNK (256 * 1024)

/* Compresses one chunk (pure).  What is damaged or longer than BODY_CHUNK does not decompress: {NULL,0}. */
struct slice body_pack(struct arena *arena, struct slice plain);
struct slice body_unpack(struct arena *arena, struct slice packed);

/* Stores prefix+spool chunk by chunk, each durable by itself.  For messages of more than one chunk. */
AWAITS enum db_write body_store(int64_t message_id, struct slice prefix, struct spool *spool)
    __attribute__((warn_unused_result));

/*
 * Bytes from offset on: up to the end of the chunk that holds offset, or of the message; so repeat until
 * enough.  NONE: no such message, or offset is past its end.  The slice is in the arena.
 */
AWAITS enum db_status body_read(struct arena *arena, int64_t message_id, uint64_t offset, struct slice *out)
    __attribute__((warn_unused_result));
/*
 * The first chunk of each of several messages in one question, as body_unpack() takes it.  {NULL, 0}: there is no such
 * message.  FOUND, or FAILED.  They are in the arena.
 */
AWAITS enum db_status body_read_first(struct arena *arena, const int64_t *ids, unsigned count, struct slice *packed)
    __attribute__((warn_unused_result));
/* The whole into a new spool, chunk by chunk; for delivery. */
AWAITS enum db_status body_load(int64_t message_id, struct spool **out) __attribute__((warn_unused_result));

#endif
