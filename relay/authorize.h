#ifndef RELAY_AUTHORIZE_H
#define RELAY_AUTHORIZE_H
/*
 * authorize: who may send what where.  Pure decisions over values that the caller has looked up, each with its
 * reason in words, so that a reply, the log, an event and a dry run all say the same.
 *
 * Two questions: may this client use this sender (at MAIL), and may it reach this recipient (at RCPT).  "It
 * could not be asked" is not a value here: the caller answers 451 itself.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "storage/directory.h"
#include "storage/directory_grant.h"

enum authorize_role {
    AUTHORIZE_MX,         /* port 25: mail for us, and from networks that may relay */
    AUTHORIZE_SUBMISSION, /* 587, 465: mail from our accounts */
};

/* What is known of the client. */
struct authorize_client {
    enum authorize_role role;
    const char *address;                     /* "192.0.2.1" */
    const struct directory_account *account; /* who signed in; NULL: nobody */
    const struct directory_network *network; /* the block that contains it; NULL: none, or not asked yet */
    struct directory_grants grants;          /* what it is granted; none: the implicit rules, or not asked yet */
    bool tls;
    bool literals;     /* mail to address literals is relayed */
    uint64_t size_max; /* of a message, by this server's configuration; 0: not told */
};

/* What is known of the sender, and of the message so far. */
struct authorize_sender {
    struct slice address; /* "" : null sender */
    bool owned;           /* submission: the account's own address, or an alias of it */
    int64_t customer_id;  /* whose domain the address is in; 0: nobody's, or not asked */
    uint64_t size;        /* as declared at MAIL; 0: not told */
    unsigned recipients;  /* that the message has already */
};

enum authorize_verdict {
    AUTHORIZE_ALLOWED,  /* only for the sender */
    AUTHORIZE_MAILBOX,  /* into the account's INBOX */
    AUTHORIZE_RELAY,    /* to the relay domain's next hops */
    AUTHORIZE_OUTSIDE,  /* by the default route or MX */
    AUTHORIZE_EXPANDED, /* to those that the address stands for: relay/resolve.h finds them */
    AUTHORIZE_UNKNOWN,  /* refused: no such user in a domain of ours */
    AUTHORIZE_DENIED,   /* refused, or deferred: the code tells */
};

/* "mailbox", "denied" and so on, for the API. */
const char *authorize_verdict_word(enum authorize_verdict verdict);

struct authorize_decision {
    enum authorize_verdict verdict;
    /* One word for logs and counters: "hosted", "relay-domain", "account", "network", or why not. */
    const char *reason;
    /* The reply.  For refusals text is a sentence; in the arena. */
    unsigned code;
    const char *enhanced;
    const char *text;
    /* What decided; NULL: no grant was needed, or an implicit one. */
    const struct directory_grant *grant;
    /* Which limit of it was reached: "size_max", "recipients_max", "messages_per_hour" and so on; NULL: none. */
    const char *limit;
    bool held; /* it is taken, and held for grant->hold_ms, as that limit is reached */
};

/* The message is bigger than the grant permits, or without one (NULL) than size_max, the server's limit. */
void authorize_too_big(struct arena *arena, const struct directory_grant *grant, uint64_t size_max,
                       struct authorize_decision *out);
/*
 * The end of data: is the message, with so many recipients taken by this grant, too much by what was used meanwhile?
 * held: how many of them are held by it already.  out->held: the others are to be held as well.
 */
void authorize_message(struct arena *arena, const struct directory_grant *grant, unsigned recipients, unsigned held,
                       uint64_t size, struct authorize_decision *out);
void authorize_sender(struct arena *arena, const struct authorize_client *client, const struct authorize_sender *sender,
                      struct authorize_decision *out);

/*
 * Submission: an address in the header.  field: "From", "Sender".  grant: the one that decided about a recipient;
 * NULL: the implicit rule did.  Of the sender only address and owned are looked at.
 */
void authorize_author(struct arena *arena, const struct authorize_client *client, const struct authorize_sender *author,
                      const char *field, const struct directory_grant *grant, struct authorize_decision *out);

/*
 * recipient: with `literal`, its domain is an address literal and was not looked up.
 *
 * On port 25 the answer depends on client->network, client->grants and sender->customer_id only when
 * authorize_needs_grant() says so: most mail from strangers is for us, and needs neither look-up.
 */
bool authorize_needs_grant(const struct authorize_client *client, const struct directory_recipient *recipient);
/* What becomes of mail to this address (no expansion), whoever sends it. */
void authorize_delivery(struct arena *arena, struct slice address, const struct directory_recipient *recipient,
                        struct authorize_decision *out);
void authorize_recipient(struct arena *arena, const struct authorize_client *client,
                         const struct authorize_sender *sender, struct slice address, bool literal,
                         const struct directory_recipient *recipient, struct authorize_decision *out);

#endif
