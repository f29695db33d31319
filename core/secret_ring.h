#ifndef CORE_SECRET_RING_H
#define CORE_SECRET_RING_H
/*
 * secret_ring: the keys of a file, under which secrets are kept in the database (core/secret_box).
 *
 * The first key of the file seals; all of them open.  A sealed secret names its key, so that a key that is missing is
 * told from a secret that somebody has altered.  A ring is read before privileges are dropped, and is never changed.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/slice.h"

#define SECRET_RING_KEYS_MAX 16
#define SECRET_RING_NAME_SIZE 17 /* 16 hexadecimal digits and NUL */

struct secret_ring;

/* NULL, and why in error: it cannot be read, others may read it, or it holds no keys.  Never what stands in it. */
struct secret_ring *secret_ring_load(const char *file, char *error, size_t error_size);
struct secret_ring *secret_ring_parse(struct slice text, char *error, size_t error_size);
/* Wipes. */
void secret_ring_free(struct secret_ring **ring);
unsigned secret_ring_count(const struct secret_ring *ring);
/* Of the key that seals; it says nothing of the key itself and may be shown. */
const char *secret_ring_name(const struct secret_ring *ring);

/* bound: whose secret it is, in words that no other secret has; it must be the same when the secret is opened. */
struct slice secret_ring_seal(const struct secret_ring *ring, struct arena *arena, struct slice bound,
                              struct slice plain);

enum secret_ring_answer {
    SECRET_RING_OPENED,  /* plain is in the arena, wiped with it */
    SECRET_RING_NO_KEY,  /* its key is not in the file, or no longer */
    SECRET_RING_SPOILED, /* altered, cut off, or of another row */
};
enum secret_ring_answer secret_ring_open(const struct secret_ring *ring, struct arena *arena, struct slice bound,
                                         struct slice sealed, struct slice *plain) __attribute__((warn_unused_result));
/* Is it sealed by the first key?  If not, sealing it again lets an old key go one day. */
bool secret_ring_current(const struct secret_ring *ring, struct slice sealed);
/* The name of the key that it says it is sealed by; "" if it says none. */
void secret_ring_name_of(struct slice sealed, char name[SECRET_RING_NAME_SIZE]);

/*
 * Makes a key at the end of the file, which is made if it is not there: so it is the first of a new file, and seals,
 * or else only opens until someone moves it to the top.  name: of the key.  False, and why: the file is as it was,
 * unless error says that it has the key.
 */
bool secret_ring_add(const char *file, char name[SECRET_RING_NAME_SIZE], char *error, size_t error_size)
    __attribute__((warn_unused_result));

#endif
