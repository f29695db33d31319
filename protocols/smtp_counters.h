#ifndef PROTOCOLS_SMTP_COUNTERS_H
#define PROTOCOLS_SMTP_COUNTERS_H
/* smtp_counters: what the SMTP server of this process has done, for /metrics.  Plain sums, never reset. */
#include <stdint.h>

/* What strangers were refused for, or put off. */
enum smtp_refused {
    SMTP_REFUSED_RATE,
    SMTP_REFUSED_DNS_LIST,
    SMTP_REFUSED_REVERSE_NAME,
    SMTP_REFUSED_SCORE, /* no list of good clients speaks for it */
    SMTP_REFUSED_GREYLIST,
    SMTP_REFUSED_EARLY_TALKER,
    SMTP_REFUSED_RECIPIENTS, /* too many that it was refused */
    SMTP_REFUSED_ERRORS,     /* too many bad commands */
    SMTP_REFUSED_NULL_MX,    /* the sender's domain takes no mail */
};
#define SMTP_REFUSED 9

struct smtp_counters {
    uint64_t connections;         /* accepted */
    uint64_t connections_refused; /* over a limit, or draining */
    uint64_t messages_accepted;   /* 250 after the end of data */
    uint64_t messages_refused;    /* 5xx there */
    uint64_t messages_deferred;   /* 4xx there */
    uint64_t recipients_accepted;
    uint64_t recipients_unknown;
    uint64_t recipients_denied;
    uint64_t refused[SMTP_REFUSED];
    uint64_t tarpitted; /* answers held back */
    uint64_t auth_succeeded, auth_failed;
};
extern struct smtp_counters smtp_counters;

#endif
