#ifndef DAEMON_OUTAGE_ACCOUNTS_H
#define DAEMON_OUTAGE_ACCOUNTS_H
/*
 * outage_accounts: in an outage, who has no account to read with gets one (storage/outage_account.h), and mail that was
 * accepted for nobody in particular becomes that of who has its address.
 */
#include <stdint.h>

#include "core/task.h"

void outage_accounts_init(void);
/* Each tick of an open outage, before what waits is shown.  Bounded: what is left comes with the next. */
AWAITS void outage_accounts_step(int64_t domain_id);
/* The outage is over, or another worker's. */
void outage_accounts_end(int64_t domain_id);

#endif
