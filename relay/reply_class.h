#ifndef RELAY_REPLY_CLASS_H
#define RELAY_REPLY_CLASS_H
/*
 * reply_class: what a next hop's refusal is about, or why it was not asked, for those who read events and count them,
 * and for when to try again.  Pure.
 *
 * It decides nothing about a recipient's fate: that is retry_classify(), by code and stage.
 */
#include "core/slice.h"

enum reply_class {
    REPLY_CLASS_NONE, /* no refusal */
    REPLY_CLASS_UNKNOWN_USER,
    REPLY_CLASS_FULL,
    REPLY_CLASS_TOO_LARGE,
    REPLY_CLASS_BLOCK_LIST,
    REPLY_CLASS_GREYLIST,
    REPLY_CLASS_POLICY,
    REPLY_CLASS_PROTOCOL,   /* it did not understand, or cannot carry, what it was told */
    REPLY_CLASS_TEMPORARY,  /* some other 4xx */
    REPLY_CLASS_REFUSED,    /* some other 5xx */
    REPLY_CLASS_CONNECTION, /* no reply: our words about the connection */
    /* It was not asked, by our words: */
    REPLY_CLASS_TLS,        /* its TLS is not what is required */
    REPLY_CLASS_ROUTING,    /* DNS does not say who it is, or there is nobody */
    REPLY_CLASS_CREDENTIAL, /* it does not let us sign in, or we have nothing to do that with */
    REPLY_CLASS_EXPIRED,    /* the message's time is over */
    REPLY_CLASS_LOCAL,      /* this server's trouble, or its administrator's wish */
};
#define REPLY_CLASSES (REPLY_CLASS_LOCAL + 1)

/*
 * reply: "550 5.1.1 <x>: no such user", its lines joined, or that behind "host:port: "; anything else is our words.  No
 * limit on its length.
 */
enum reply_class reply_class_of(struct slice reply);

/* "unknown-user" and so on; NULL for NONE. */
const char *reply_class_word(enum reply_class class);

#endif
