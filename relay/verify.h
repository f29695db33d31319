#ifndef RELAY_VERIFY_H
#define RELAY_VERIFY_H
/*
 * verify: what is made of what a primary says, or has said, about an address of its domain.  Pure.
 *
 * Used by relay/permit for RCPT and the dry run, and by who asks (daemon/prober).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"
#include "storage/directory.h"
#include "storage/learned.h"

enum verify_told {
    VERIFY_EXISTS,
    VERIFY_NOT_THERE,
    VERIFY_UNTOLD, /* it could not be asked, or did not say */
};

/* Of a reply to RCPT.  enhanced: RFC 3463, or empty. */
enum verify_told verify_reply(unsigned code, struct slice enhanced);

/* Is it the primary's to say whether the address exists? */
bool verify_wanted(const struct directory_recipient *found);

enum verify_next {
    VERIFY_ANSWERED,
    VERIFY_REFRESH, /* answered; it is time to ask again, without anybody waiting */
    VERIFY_ASK,
};
/* away: the domain has an outage, so nobody asks. */
enum verify_next verify_known(const struct learned *known, bool away, int64_t now_ms, enum directory_existence *out);
/* After asking. */
enum directory_existence verify_asked(const struct learned *known, enum verify_told told);

#endif
