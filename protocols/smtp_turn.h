#ifndef PROTOCOLS_SMTP_TURN_H
#define PROTOCOLS_SMTP_TURN_H
/* smtp_turn: who delivers over a connection that ATRN has turned round. */
#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"
#include "core/stream.h"

struct smtp_turn {
    const int64_t *domain_ids; /* valid during the call, as all else */
    unsigned count;
    const char *peer;
    struct slice account; /* who collects */
};

/*
 * Takes the stream, which is driven, begins to read from it in a later turn of the loop, and closes it; false: it
 * cannot now.
 */
typedef bool smtp_turn_fn(struct stream *stream, const struct smtp_turn *turn);
void smtp_on_turn(smtp_turn_fn *fn);

#endif
