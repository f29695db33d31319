#ifndef RELAY_AUTHORIZE_INTERNAL_H
#define RELAY_AUTHORIZE_INTERNAL_H
/*
 * authorize_internal: what authorize.c, authorize_delivery.c and authorize_limit.c share.  Nobody else includes this.
 */
#include "relay/authorize.h"

static inline void allow(struct authorize_decision *out, enum authorize_verdict verdict, const char *reason)
{
    *out = (struct authorize_decision){verdict, reason, 250,  verdict == AUTHORIZE_ALLOWED ? "2.1.0" : "2.1.5",
                                       "Ok",    NULL,   NULL, false};
}

static inline void refuse(struct authorize_decision *out, enum authorize_verdict verdict, const char *reason,
                          unsigned code, const char *enhanced, const char *text)
{
    *out = (struct authorize_decision){verdict, reason, code, enhanced, text, NULL, NULL, false};
}

#define AUTHORIZE_HOLD_TIMES 10 /* a limit that holds is passed by so much at most: who sends on must not fill the queue */

/* A limit of a minute, an hour or a day. */
struct authorize_window {
    const char *limit; /* NULL: none is passed */
    const char *unit, *span;
    uint64_t permitted;
};

/* Passed by one message more of this size (0: not told), with so many recipients; times: beyond so many times the limit. */
struct authorize_window authorize_window(const struct directory_grant *grant, uint64_t recipients, uint64_t size,
                                         uint64_t times);
/* out->grant is the caller's to set. */
void authorize_window_refuse(struct arena *arena, const struct directory_grant *grant,
                             const struct authorize_window *window, struct authorize_decision *out);

#endif
