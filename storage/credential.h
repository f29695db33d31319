#ifndef STORAGE_CREDENTIAL_H
#define STORAGE_CREDENTIAL_H
/*
 * credential: passwords at rest: hashes (yescrypt made; those of other systems verified, storage/credential_scheme.h)
 * and, beside them, SCRAM keys (RFC 5803).  Hashing runs off the loop (core/offload.h).
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"

#define CREDENTIAL_SCRAM_ITERATIONS 4096
#define CREDENTIAL_PASSWORD_MAX 511 /* bytes; libxcrypt takes no more (CRYPT_MAX_PASSPHRASE_SIZE, with its NUL) */

/* What is made of a password. */
struct credential {
    struct slice hash, scram_sha256;
    struct slice scram_sha1; /* {NULL,0}: not wanted */
};

/* Once per process, before the first is made: are keys for SCRAM-SHA-1 made, too?  At first they are not. */
void credential_want_sha1(bool wanted);
bool credential_wants_sha1(void);
/* Of its SASLprep, in the arena. False: too long, empty, contains NUL, or the library refused. */
AWAITS bool credential_make(struct arena *arena, struct slice password, struct credential *out);
/* Its SASLprep, or it as it stands.  hash {NULL,0}: does the work against a dummy and says false. */
AWAITS bool credential_verify(struct slice hash, struct slice password);
/* credential_scheme_admit(), and does this machine's libxcrypt do it?  NULL: good, *stored; else why not. */
const char *credential_admit(struct arena *arena, struct slice given, struct slice *stored)
    __attribute__((warn_unused_result));

#endif
