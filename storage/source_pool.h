#ifndef STORAGE_SOURCE_POOL_H
#define STORAGE_SOURCE_POOL_H
/*
 * source_pool: from which of our addresses a customer's mail goes out, where its route does not say.  Remembered by the
 * cache.  The write side is storage/provision_customer.h.
 */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define SOURCE_POOL_MAX 64 /* addresses */

/* Addresses with a blank between; empty: as the system has it.  FOUND, or FAILED. */
AWAITS enum db_status source_pool_of_customer(struct arena *arena, int64_t customer_id, struct slice *out)
    __attribute__((warn_unused_result));
/* Of the domain's customer. */
AWAITS enum db_status source_pool_of_domain(struct arena *arena, int64_t domain_id, struct slice *out)
    __attribute__((warn_unused_result));

#endif
