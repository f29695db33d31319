#ifndef STORAGE_SRS_KEY_H
#define STORAGE_SRS_KEY_H
/*
 * srs_key: the secrets by which forwarded mail's rewritten senders are told from others' (relay/srs.h).
 *
 * All nodes have the same, in memory (storage/known.h).  A new one is made every SRS_KEY_DAYS; it is written with from
 * SRS_KEY_REST_MS on, when every node has read it.  Old ones are read with until SRS_KEY_KEPT_DAYS.
 */
#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define SRS_KEY_DAYS 60
#define SRS_KEY_KEPT_DAYS 430 /* SRS_KEY_DAYS, and the longest that an address may be good for (365) */
#define SRS_KEY_REST_MS (10 * 60 * 1000)
#define SRS_KEYS_MAX 16

/*
 * The first is to be written with.  They stay until the next wait.  False: they are not known yet, as the database
 * could not be asked.
 */
bool srs_keys(const struct slice **keys, unsigned *count) __attribute__((warn_unused_result));

/* For storage/known.c. */
AWAITS enum db_status srs_key_read(struct arena *arena) __attribute__((warn_unused_result));
/* For storage/maintenance.c: makes one if it is time, and lets those go that nobody needs.  Any number may try. */
AWAITS enum db_write srs_key_rotate(struct arena *arena) __attribute__((warn_unused_result));

#endif
