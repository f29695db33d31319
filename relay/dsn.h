#ifndef RELAY_DSN_H
#define RELAY_DSN_H
/*
 * dsn: builds a delivery status notification: multipart/report (RFC 6522) with a text for people, a
 * message/delivery-status (RFC 3464) for programs, and the header of the message that failed.  Pure.
 *
 * The result is 7-bit, in wire form, whatever the input holds.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

struct dsn_recipient {
    struct slice address;
    struct slice status;     /* RFC 3463, "5.1.1" */
    struct slice diagnostic; /* the remote's words, or ours */
    struct slice remote;     /* host that said them; empty: we did */
    int64_t attempt_ms;      /* 0: there was none */
};

struct dsn {
    struct slice reporting_mta; /* our host name */
    struct slice sender;        /* of the message that failed: who gets this */
    int64_t message_id;         /* of that message; also makes Message-ID and boundary */
    int64_t dsn_id;             /* of this one */
    int64_t arrival_ms, now_ms;
    const struct dsn_recipient *recipients;
    unsigned count;
    struct slice header;        /* of that message, as it was stored; may be empty */
};

/* Without Return-Path, which whoever stores it adds. */
struct slice dsn_build(struct arena *arena, const struct dsn *dsn);

#endif
