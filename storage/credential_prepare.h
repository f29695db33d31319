#ifndef STORAGE_CREDENTIAL_PREPARE_H
#define STORAGE_CREDENTIAL_PREPARE_H
/*
 * credential_prepare: SASLprep (RFC 4013), so that a password is the same however it was typed.  Pure; ICU stays behind
 * it.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

/* In the arena, wiped when that ends.  False: it is not UTF-8, or has what SASLprep prohibits. */
bool credential_prepare(struct arena *arena, struct slice password, struct slice *out);

#endif
