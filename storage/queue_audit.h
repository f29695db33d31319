#ifndef STORAGE_QUEUE_AUDIT_H
#define STORAGE_QUEUE_AUDIT_H
/*
 * queue_audit: who had waiting mail sent by SMTP (ETRN, ATRN), in the audit log beside what administrators do by the
 * API.
 */
#include <stdint.h>

#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

/* Events of what waits, and a row for each of the domains that mail waits for; none for the others, so that asking in vain fills nothing. */
AWAITS enum db_write queue_audit(const char *verb, const int64_t *domain_ids, unsigned count, const char *peer,
                                 struct slice account) __attribute__((warn_unused_result));

#endif
