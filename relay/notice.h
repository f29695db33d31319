#ifndef RELAY_NOTICE_H
#define RELAY_NOTICE_H
/*
 * notice: what a sender is told about his message (RFC 3461): whether, and the report as a message that
 * accept_commit() can take.  The SMTP server tells of deliveries into mailboxes, the delivery runner of all else.
 *
 * There is never a notice about mail from the null sender, and every notice is from it: no bounce for a bounce.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/spool.h"
#include "core/task.h"
#include "relay/dsn.h"
#include "relay/envelope.h"
#include "storage/accept.h"

/* Does the sender want to be told this of the recipient?  RFC 3461 4.1, 5.2; RFC 2852 4.1.4. */
bool notice_wanted(struct slice sender, const struct envelope_rcpt *envelope, enum dsn_action action);

/*
 * When he is told that the message is late: delay_ms after received_ms; 0: never.  delay_ms 0: nobody is.  readable:
 * the recipient reads it here meanwhile, so only who asked for it in words is told.
 */
int64_t notice_delay_at(struct slice sender, const struct envelope_rcpt *envelope, bool readable, int64_t received_ms,
                        int64_t delay_ms);

struct notice_settings {
    const char *hostname;
    bool default_route;  /* mail to outside goes to destination "default" */
    int64_t lifetime_ms; /* of the notice in the queue, unless there is a delivery policy */
};

/* The message, and what is to be told of it. */
struct notice {
    int64_t message_id, customer_id, received_ms;
    struct slice sender;
    struct envelope_mail envelope;
    const char *client, *helo; /* who brought it (RFC 3464 2.2.4); NULL: nobody, or not known */
    enum dsn_action action;
    const struct dsn_recipient *recipients;
    unsigned count;
    /* Content, without Return-Path: prefix, then the spool from offset on. */
    struct slice prefix;
    struct spool *spool; /* NULL: it is gone */
    size_t offset;
};

enum notice_made {
    NOTICE_MADE,
    NOTICE_NOBODY, /* the sender is nobody that can be told */
    NOTICE_LATER,  /* it could not be found out, or stored */
};
/*
 * MADE: *out, one message for each customer concerned, is ready for accept_commit(); its memory is in the arena, and
 * notice_done() lets its spools go.
 */
AWAITS enum notice_made notice_make(struct arena *arena, const struct notice_settings *settings,
                                    const struct notice *notice, struct accept_message **out, unsigned *count)
    __attribute__((warn_unused_result));
void notice_done(struct accept_message *messages, unsigned count);

/* Other mail of our own, that says "TLS-Required: No" (RFC 8689 section 3). */
struct notice_letter {
    struct slice sender, recipient;
    int64_t customer_id; /* whose mail it is, if it goes outside */
    unsigned cell;
    struct slice content; /* wire form, with its header */
};
/* As notice_make(). */
AWAITS enum notice_made notice_letter(struct arena *arena, const struct notice_settings *settings,
                                      const struct notice_letter *letter, struct accept_message **out, unsigned *count)
    __attribute__((warn_unused_result));

#endif
