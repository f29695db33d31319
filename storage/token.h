#ifndef STORAGE_TOKEN_H
#define STORAGE_TOKEN_H
/*
 * token: who may use the administration API.
 *
 * A token is "phs_" and 43 letters of base64url: 256 random bits, so its plain SHA-256 is all that is
 * stored, and a look-up by digest is exact.  The text is shown once, when it is made.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define TOKEN_TEXT_SIZE 48 /* 47 letters and NUL */

/*
 * For the command line: blocking, before any loop.  False: why says what PostgreSQL said.  The caller
 * shows the text and wipes it.
 */
bool token_create(const char *conninfo, const char *label, char text[TOKEN_TEXT_SIZE], char *why, size_t why_size)
    __attribute__((warn_unused_result));

/*
 * FOUND: valid, *id is the token's.  Answers are remembered for a few seconds, so a deleted token lives that
 * much longer; while the database is away the answer is FAILED for what is not remembered.
 */
AWAITS enum db_status token_check(struct slice text, int64_t *id) __attribute__((warn_unused_result));

#endif
