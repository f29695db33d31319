#ifndef STORAGE_CREDENTIAL_SCHEME_H
#define STORAGE_CREDENTIAL_SCHEME_H
/*
 * credential_scheme: the forms in which a password hash may be stored, ours and those that other systems leave.  Pure.
 *
 * Stored is either a crypt(3) string ("$y$j9T$...") or a digest as OpenLDAP and Dovecot write it ("{SSHA256}" and the
 * base64 of digest and salt).  Which are taken, and which are not and why, is told in credential_scheme.c.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/secret.h"
#include "core/slice.h"

#define CREDENTIAL_HASH_MAX 384 /* bytes, with a final NUL */
#define CREDENTIAL_SALT_MAX 64

/* A digest's parts. */
struct credential_digest {
    enum secret_digest algorithm;
    unsigned char bytes[SECRET_DIGEST_MAX];
    unsigned char salt[CREDENTIAL_SALT_MAX];
    size_t salt_size;
};

/*
 * The form that is stored of what an administrator gives: a scheme prefix that names crypt(3) is dropped, others are
 * written large.  NULL: good, *stored is in the arena; else the end of a sentence that says what it must be.
 */
const char *credential_scheme_admit(struct arena *arena, struct slice given, struct slice *stored)
    __attribute__((warn_unused_result));

/* Takes a stored digest apart.  False: it is none (a crypt(3) string). */
bool credential_scheme_digest(struct slice stored, struct credential_digest *out);
/* Made so quickly that verifying it alone would tell that the account exists. */
bool credential_scheme_is_cheap(struct slice stored);
/* Admitted, but verifying it twice takes longer than the answer to a failed login waits (guard_delay()). */
bool credential_scheme_is_dear(struct slice stored);
/* What is made today; everything else is made anew when its password is known. */
bool credential_scheme_is_current(struct slice stored);

#endif
