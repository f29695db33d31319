#ifndef RELAY_DSN_H
#define RELAY_DSN_H
/*
 * dsn: builds a delivery status notification: multipart/report (RFC 6522) with a text for people, a
 * message/delivery-status (RFC 3464) for programs, and the header of the message that it is about, or all of it.  Pure.
 *
 * The result is 7-bit, in wire form, whatever the input holds; but for the sender's address and a message that is
 * returned whole.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

/* Action, RFC 3464 2.3.3; of all recipients of a report. */
enum dsn_action {
    DSN_FAILED,
    DSN_DELAYED,   /* and still being tried */
    DSN_DELIVERED, /* into a mailbox here */
    DSN_RELAYED,   /* to a server that gives no reports */
    DSN_EXPANDED,  /* to the targets of an alias */
    DSN_LATE,      /* "delayed": not in the time that BY gave, and still being tried (RFC 2852) */
    DSN_TRACED,    /* "relayed": because BY wants to hear of it, or the server does not know BY */
};

struct dsn_recipient {
    struct slice address;
    struct slice original;   /* ORCPT as it came (RFC 3461 4.2); p NULL: not given */
    struct slice status;     /* RFC 3463, "5.1.1" */
    struct slice cause;      /* why it ends, if that is not what the last attempt was told; empty: it is */
    struct slice diagnostic; /* the remote's words, or ours; of the last attempt, if there is a cause; empty: none */
    struct slice remote;     /* host that was asked; empty: none */
    int64_t attempt_ms;      /* 0: there was none */
    int64_t until_ms;        /* DELAYED: when it is given up; 0: not told */
};

struct dsn {
    struct slice reporting_mta; /* our host name */
    enum dsn_action action;
    struct slice sender;         /* of the message that this is about: who gets this */
    struct slice envid;          /* ENVID as it came (RFC 3461 4.4); p NULL: not given */
    struct slice future_release; /* "for; 3600" or "until; 2026-12-24T08:00:00Z" (RFC 4865); p NULL: not asked for */
    int64_t deliver_by_ms;       /* Deliver-By-Date (RFC 2852 section 5); 0: not asked for */
    const char *client, *helo;   /* who brought it, by SMTP (RFC 3464 2.2.4); NULL: nobody did, or not known */
    int64_t message_id;          /* of that message; also makes Message-ID and boundary */
    int64_t dsn_id;              /* of this one */
    int64_t arrival_ms, now_ms;
    const struct dsn_recipient *recipients;
    unsigned count;
    struct slice header;  /* of that message, as it was stored; may be empty */
    bool full;            /* the caller puts that message, whole, between head and tail: */
    bool eight_bit;       /* and it has 8-bit bytes */
    bool utf8;            /* that message needed SMTPUTF8 (RFC 6533) */
    struct slice content; /* with utf8: that message, whole; p NULL: its header only */
};

struct dsn_text {
    struct slice head, tail;
};
/* Without Return-Path, which whoever stores it adds. */
struct dsn_text dsn_build(struct arena *arena, const struct dsn *dsn);

#endif
