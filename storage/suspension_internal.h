#ifndef STORAGE_SUSPENSION_INTERNAL_H
#define STORAGE_SUSPENSION_INTERNAL_H
/* suspension_internal: what the files of suspension share.  Nobody else includes this. */
#include "storage/suspension.h"

#define SUSPENSION_FAR "now() + interval '100 years'" /* infinity cannot be reckoned with */

/* What an entry q becomes that the suspension s holds: its lifetime stands still. */
#define SUSPENSION_HOLDS                                                                                               \
    "worker = null, lease_until = null, held_until = coalesce(s.expires_at, " SUSPENSION_FAR "),"                      \
    "   held_by = 'suspension', held_reason = 'suspended: ' || s.reason, held_then = 'release', suspension_id = s.id," \
    "   expires_at = q.expires_at + (coalesce(s.expires_at, " SUSPENSION_FAR ") - now()),"                             \
    "   delay_at = q.delay_at + (coalesce(s.expires_at, " SUSPENSION_FAR ") - now())"

/* $1: its id.  Nobody resumes it until the transaction is over. */
extern const struct db_statement suspension_lock;

/* Looks for what waits for one whose turn it is, and holds it.  False: none's is. */
AWAITS bool suspension_pass(void);

#endif
