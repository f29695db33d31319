#ifndef STORAGE_OUTAGE_ACCOUNT_H
#define STORAGE_OUTAGE_ACCOUNT_H
/*
 * outage_account: who reads the mail of an outage that nobody was to read when it was accepted.
 *
 * Mail is accepted for an address of a relay domain, whether anybody has an account for it here or not.  While the
 * domain's outage is open its entries without an account are given to the account that has the address by then, and,
 * where the domain wants it (continuity_policy.accounts), known recipients get one, in state "continuity".  All that
 * waits for it becomes its mail in the transaction that makes it, so that outage_show() shows it in order.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define OUTAGE_ACCOUNT_BATCH 250 /* accounts in one transaction */

/* Of all domains of one customer, in state "continuity". */
void outage_account_configure(unsigned customer_max);

struct outage_account_page {
    int64_t after;  /* an entry's id; moved on */
    bool more;      /* the domain has entries behind it */
    unsigned given; /* entries that have an account now */
    unsigned made;  /* accounts */
};
/* The domain's next entries, some hundreds of them.  What is not DONE may be asked again from the same place. */
AWAITS enum db_write outage_account_give(int64_t domain_id, struct outage_account_page *page)
    __attribute__((warn_unused_result));

/*
 * Accounts for the next known recipients of the domain behind *after, which is moved on (malloc()ed; NULL at first and
 * at the end).  Nothing where the domain does not want it.
 */
AWAITS enum db_write outage_account_make_known(int64_t domain_id, char **after, unsigned *made)
    __attribute__((warn_unused_result));

/*
 * Accounts in state "continuity" for these addresses (name_address()) of the domain, as far as they are nobody's and the
 * limits permit.  At most OUTAGE_ACCOUNT_BATCH.  entries: become the mail of who has their recipient now.
 */
struct outage_account_wish {
    int64_t domain_id;
    unsigned domain_max;
    const struct slice *addresses;
    unsigned count;
    const int64_t *entries;
    const struct slice *readers; /* of each entry: the account's address */
    unsigned entry_count;
};
AWAITS enum db_write outage_account_make(const struct outage_account_wish *wish, unsigned *made, unsigned *given)
    __attribute__((warn_unused_result));

#endif
