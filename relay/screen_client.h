#ifndef RELAY_SCREEN_CLIENT_H
#define RELAY_SCREEN_CLIENT_H
/*
 * screen_client: finds out what relay/screen.h wants to know of a client that brings mail, and asks it.  RCPT and the
 * dry run of the API are the same call.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/task.h"
#include "relay/authorize.h"
#include "relay/permit.h"
#include "relay/screen.h"
#include "relay/screen_dns.h"
#include "storage/greylist.h"

/* Why nothing is asked of it. */
enum screen_exempt {
    SCREEN_NOT_EXEMPT,
    SCREEN_NO_POLICY,  /* nobody wants to know */
    SCREEN_OURS,       /* signed in, or loopback */
    SCREEN_ALLOWED,    /* on the allow-list */
    SCREEN_POSTMASTER, /* it is for him, whoever sends */
    SCREEN_PERMITTED,  /* in a customer's network, or with a grant */
};

struct screen_report {
    enum screen_exempt exempt; /* else: */
    struct client_policy policy;
    struct screen_facts facts;
    int score;
    bool greylisting; /* it was asked, and gave: */
    struct greylist_answer greylist;
};

enum screen_result {
    SCREEN_PASSED,
    SCREEN_REFUSED, /* or put off: *out */
    SCREEN_FAILED,  /* it could not be asked: 451 */
};

/*
 * recipient: what permit_recipient() took.  dns: the client's, begun when it was not; NULL in it: not begun yet.
 * wait_ms: how long it may take since it began.  note: the client is here, and its coming is remembered.
 */
AWAITS enum screen_result screen_client(struct arena *arena, struct permit *permit,
                                        const struct permit_recipient *recipient, struct screen_dns **dns,
                                        unsigned wait_ms, bool note, struct screen_report *report,
                                        struct authorize_decision *out) __attribute__((warn_unused_result));

/* Begins to ask DNS about a client, if anything that it may bring would want to know.  NULL: nothing. */
struct screen_dns *screen_client_begin(const char *peer);

/* "none", "allowed" and so on. */
const char *screen_exempt_word(enum screen_exempt exempt);

#endif
