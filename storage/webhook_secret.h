#ifndef STORAGE_WEBHOOK_SECRET_H
#define STORAGE_WEBHOOK_SECRET_H
/*
 * webhook_secret: what a webhook is signed with, and the signature (Standard Webhooks 1.0.0, "Signature scheme").
 *
 * A secret is written "whsec_" and base64 of 24 to 64 bytes.  Pure.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

#define WEBHOOK_SECRET_TEXT_MAX 100

/* As it is written; wiped with the arena. */
struct slice webhook_secret_make(struct arena *arena);
/* Its bytes, wiped with the arena.  False: it is none. */
bool webhook_secret_read(struct arena *arena, struct slice text, struct slice *key) __attribute__((warn_unused_result));
/* What stands in webhook-signature: of id, timestamp in seconds and body. */
const char *webhook_secret_sign(struct arena *arena, struct slice key, const char *id, int64_t timestamp,
                                struct slice body);

#endif
