#ifndef PROTOCOLS_SMTP_XCLIENT_H
#define PROTOCOLS_SMTP_XCLIENT_H
/* smtp_xclient: the grammar of XCLIENT, by which a proxy tells whose mail it brings.  Pure. */
#include <sys/socket.h>

#include "core/arena.h"
#include "protocols/smtp_parse.h"

#define SMTP_XCLIENT_ATTRIBUTES "NAME ADDR PORT PROTO HELO" /* what EHLO offers */

/* What was not told is as zero. */
struct smtp_xclient {
    struct slice name;               /* of the client in DNS; empty: it has none */
    struct slice helo;               /* as which the client introduced itself */
    struct sockaddr_storage address; /* ss_family 0: not told */
    unsigned port;
    bool plain_smtp; /* PROTO=SMTP: the client said HELO */
};
/* Slices in the arena or in arguments. */
const struct smtp_fault *smtp_parse_xclient(struct arena *arena, struct slice arguments, struct smtp_xclient *out);

#endif
