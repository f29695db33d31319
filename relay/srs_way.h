#ifndef RELAY_SRS_WAY_H
#define RELAY_SRS_WAY_H
/*
 * srs_way: which mail is forwarded under an address of ours (relay/srs.h), and whom what comes to such an address goes
 * to.  RCPT, the dry run and the delivery runner are the same calls.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "relay/authorize.h"
#include "relay/permit.h"
#include "relay/srs.h"

struct srs_way_settings {
    bool on;            /* off: nothing is rewritten; what was finds back all the same */
    const char *domain; /* of all rewritten senders, if it is a domain here; NULL: that of the alias */
    unsigned days;      /* how long such an address is good for */
};
/* settings must stay.  Not called: off. */
void srs_way_configure(const struct srs_way_settings *settings);

/* Does the target get forwarded mail: outside, and not the way back of some? */
bool srs_way_forwards(const struct resolve_target *target);
/*
 * Under which domain of ours the mail that a recipient forwards is to be sent; empty: under its own sender, who is
 * null, or ours and permitted.  In the permit's arena.  False: it could not be asked.
 */
AWAITS bool srs_way_domain(struct arena *arena, struct permit *permit, const struct permit_recipient *recipient,
                           struct slice *out) __attribute__((warn_unused_result));
/* The sender of the transaction; not WRITTEN: the message's own.  False: the keys are not known yet. */
bool srs_way_sender(struct arena *arena, struct slice sender, struct slice domain, struct slice *out,
                    enum srs_written *written) __attribute__((warn_unused_result));

enum srs_way {
    SRS_WAY_NONE,    /* an address like any other */
    SRS_WAY_BACK,    /* what was found of it is now an expansion, to whose sender it was */
    SRS_WAY_REFUSED, /* *out says why */
    SRS_WAY_FAILED,  /* the keys are not known yet */
};
/* A recipient that was looked up, before it is decided.  Does not wait. */
enum srs_way srs_way_back(struct arena *arena, const struct permit *permit, struct permit_recipient *recipient,
                          struct authorize_decision *out) __attribute__((warn_unused_result));

#endif
