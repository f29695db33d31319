#ifndef PROTOCOLS_SIMILAR_H
#define PROTOCOLS_SIMILAR_H
/* similar: what makes messages alike.  Does not wait; bounded whatever the message is. */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

#define SIMILAR_LOOKED_AT (256 * 1024) /* bytes from the message's beginning */
#define SIMILAR_SUBJECT_MAX 200        /* bytes */

struct similar {
    uint64_t hash;        /* messages whose hashes differ in SIMILAR_BITS (storage/similar.h) at most are alike */
    struct slice subject; /* decoded, UTF-8 without control characters, cut; {NULL,0}: it has none */
};

/* bytes: the message from its beginning, as much as there is at hand. */
void similar_of(struct arena *arena, struct slice bytes, struct similar *out);

#endif
