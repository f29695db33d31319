#ifndef CORE_SECRET_BOX_H
#define CORE_SECRET_BOX_H
/*
 * secret_box: bytes that only the holder of one key can read or make (AES-256-GCM, NIST SP 800-38D).
 *
 * What a box is bound to is not in it: whoever opens it says the same again, or it does not open.  Which key, and where
 * it comes from, is core/secret_ring's.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

#define SECRET_BOX_KEY 32
#define SECRET_BOX_NONCE 12
#define SECRET_BOX_TAG 16
#define SECRET_BOX_MAX (1 << 24) /* of plain and of bound: longer is a mistake of the caller, and aborts */

/* In the arena: nonce, what plain became, tag. */
struct slice secret_box_seal(struct arena *arena, const unsigned char key[SECRET_BOX_KEY], struct slice bound,
                             struct slice plain);
/*
 * plain is in the arena and wiped with it.  False: of another key, bound to something else, or altered; nothing is
 * said.
 */
bool secret_box_open(struct arena *arena, const unsigned char key[SECRET_BOX_KEY], struct slice bound, struct slice box,
                     struct slice *plain) __attribute__((warn_unused_result));

#endif
