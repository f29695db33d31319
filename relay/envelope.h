#ifndef RELAY_ENVELOPE_H
#define RELAY_ENVELOPE_H
/*
 * envelope: what a sender asked of his message's transport beyond its addresses: the ESMTP parameters of MAIL and RCPT
 * that travel with it from hop to hop.  Plain values; zeroed, they say that nothing was asked.
 *
 * protocols/smtp_parameter.h reads and writes them, as commands of SMTP and as the database has them.  Slices are as
 * they came, still in xtext where the RFC wants xtext, because that is how they are passed on.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

/* Extensions that parameters belong to: a next hop is sent those of the ones that it offers. */
enum {
    ENVELOPE_DSN = 1 << 0,           /* RFC 3461 */
    ENVELOPE_REQUIRETLS = 1 << 1,    /* RFC 8689: offered under TLS only */
    ENVELOPE_SMTPUTF8 = 1 << 2,      /* RFC 6531 */
    ENVELOPE_FUTURERELEASE = 1 << 3, /* RFC 4865: kept with the message, and never passed on: it waits here */
    ENVELOPE_DELIVERBY = 1 << 4,     /* RFC 2852 */
    ENVELOPE_MT_PRIORITY = 1 << 5,   /* RFC 6710 */
    ENVELOPE_OURS = 1 << 30,         /* none: what we note for ourselves, and no next hop is told */
};
#define ENVELOPE_ALL (~0u)

enum envelope_return { /* RET, RFC 3461 4.3 */
                       ENVELOPE_RETURN_UNSAID,
                       ENVELOPE_RETURN_HEADER,
                       ENVELOPE_RETURN_FULL,
};

enum envelope_by { /* BY, RFC 2852: what happens when it is not delivered in time */
                   ENVELOPE_BY_UNSAID,
                   ENVELOPE_BY_RETURN, /* R: it is given up */
                   ENVELOPE_BY_NOTIFY, /* N: its sender is told, and it goes on */
};

/* MAIL's. */
struct envelope_mail {
    enum envelope_return ret;
    struct slice envid; /* ENVID, RFC 3461 4.4: xtext; p NULL: not given */
    bool utf8;          /* SMTPUTF8, RFC 6531 3.4: once it is accepted, only if its header or its sender needs it */
    bool require_tls;   /* REQUIRETLS, RFC 8689 4.1 */
    bool tls_optional;  /* the header says "TLS-Required: No", RFC 8689 3; never with require_tls */
    struct slice hold_for, hold_until; /* HOLDFOR, HOLDUNTIL, RFC 4865: one of them at most; p NULL: not given */
    enum envelope_by by;
    bool by_trace;      /* T: its sender hears of each relay */
    bool has_priority;  /* it was given, or changed */
    int priority;       /* MT-PRIORITY, RFC 6710: -9 to 9; higher goes first */
    int64_t by_seconds; /* from when it was received; 0 or less: the time was over before, and its sender knows */
};

/* How the database has what our own reports need on their way, and what we note ourselves. */
#define ENVELOPE_REQUIRETLS_STORED "REQUIRETLS"
#define ENVELOPE_SMTPUTF8_STORED "SMTPUTF8"
#define ENVELOPE_TLS_OPTIONAL_STORED "TLS-REQUIRED=NO"
#define ENVELOPE_FORWARDED_BY_STORED "FORWARDED-BY"

enum { /* NOTIFY, RFC 3461 4.1; 0: not given */
       ENVELOPE_NOTIFY_NEVER = 1 << 0,
       ENVELOPE_NOTIFY_SUCCESS = 1 << 1,
       ENVELOPE_NOTIFY_FAILURE = 1 << 2,
       ENVELOPE_NOTIFY_DELAY = 1 << 3,
};

/* RCPT's. */
struct envelope_rcpt {
    unsigned notify;
    struct slice
        orcpt; /* ORCPT, RFC 3461 4.2: "rfc822;" and xtext, or RFC 6533 3: "utf-8;"; ASCII; p NULL: not given */
    struct slice forwarded_by; /* ours: a domain here, whose sender it goes out under (relay/srs_way.h); p NULL: none */
};

/*
 * xtext = *( xchar / hexchar ), RFC 3461 4.  False: it is none.  out, in the arena, may hold any byte; NULL: only
 * the form is asked for.
 */
bool envelope_xtext(struct arena *arena, struct slice text, struct slice *out);

/* When a message that was received then is to be released, by HOLDFOR or HOLDUNTIL; 0: at once. */
int64_t envelope_release(const struct envelope_mail *envelope, int64_t received_ms);

/* By when it is to be delivered; 0: nothing is to be done then. */
int64_t envelope_deadline(const struct envelope_mail *envelope, int64_t received_ms);
/* The time is over, and it must not go on (BY=;R). */
bool envelope_expired(const struct envelope_mail *envelope, int64_t received_ms, int64_t now_ms);
/*
 * As it is to be passed on at this moment: with the time that is left (RFC 2852 4.1.4.1), and any priority (RFC 6710
 * 4.2).
 */
struct envelope_mail envelope_passed_on(const struct envelope_mail *envelope, int64_t received_ms, int64_t now_ms);

#endif
