#ifndef RELAY_AUTHORIZE_INTERNAL_H
#define RELAY_AUTHORIZE_INTERNAL_H
/*
 * authorize_internal: how authorize.c and authorize_delivery.c write their verdicts down.  Nobody else includes this.
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

#endif
