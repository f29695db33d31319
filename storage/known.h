#ifndef STORAGE_KNOWN_H
#define STORAGE_KNOWN_H
/*
 * known: what a process has in memory of the directory, whole, because it is asked where nothing can be waited for: the
 * allow-list (allow.h), the DNS lists (dns_list.h), what is suspended (suspension.h), how mail to a domain is tried
 * (delivery_policy.h), whose mail is held (held_account.h), when an account's sending is not its own any more
 * (breaker_policy.h), what is held for what it is (content_rule.h), which accounts are in a drill (drill.h), and whether
 * there are policies for strangers at all (client_policy.h).
 */
#include "core/task.h"
#include "storage/status.h"

/* Reads them if the directory is another one than when they were read.  FAILED: what is known stays. */
AWAITS enum db_status known_refresh(void) __attribute__((warn_unused_result));
/* A task of the worker's: what is known is about a second old at most, while the database can be asked. */
AWAITS void known_refresh_for_ever(void *unused);

#endif
