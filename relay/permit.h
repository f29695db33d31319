#ifndef RELAY_PERMIT_H
#define RELAY_PERMIT_H
/*
 * permit: looks up what relay/authorize wants to know of a transaction, and asks it.  The SMTP server's MAIL and RCPT
 * and the dry run of the API are the same calls, so they cannot disagree.
 *
 * A permit is a transaction's: begun at MAIL, asked again for each recipient.  What it remembers is in its arena; the
 * decision and what was found about the recipient are in the arena of the call.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "relay/authorize.h"
#include "relay/resolve.h"
#include "relay/verify.h"
#include "storage/directory.h"
#include "storage/directory_grant.h"
#include "storage/learned.h"

struct permit {
    struct arena *arena;

    /* given: */
    enum authorize_role role;
    const char *peer;                  /* the client's address */
    struct directory_account *account; /* who signed in, brought up to date by permit_sender(); NULL: nobody */
    struct slice certificate;          /* SHA-256 of the one that the client has shown, verified or not; empty: none */
    bool tls;
    bool literals;                      /* mail to address literals is relayed */
    int64_t at_ms;                      /* as of when; INT64_MIN: now */
    struct slice sender, sender_domain; /* empty: null sender */
    uint64_t size;                      /* as declared; 0: not told */
    uint64_t size_max;                  /* by this server's configuration */

    /* found: */
    bool sender_owned;
    bool client_known, has_network; /* port 25: asked for once, when a recipient needs it */
    struct directory_network network;
    int64_t sender_customer_id;
    struct directory_grants grants;
    bool sender_mx_asked, sender_null_mx; /* relay/null_mx.c */
};

/* One recipient, and what was found out about it. */
struct permit_recipient {
    struct slice address, domain;
    bool literal;    /* the domain is an address literal */
    bool ours;       /* to be treated as in our domains, whatever the directory says */
    unsigned before; /* recipients that the message has already */
    struct directory_recipient found;
    struct resolve_target *targets; /* whom it goes to, itself or those that it stands for; none: it is refused */
    unsigned target_count;
    uint64_t size_most; /* what its next hop takes, if that was asked for (relay/next_size.h); 0: not known */
    enum verify_next verify; /* not ANSWERED: taken as far as we know; permit_primary() is to have the last word */
    struct learned learned;  /* for it */
};

/*
 * Asks the primary of a relay domain that learns about an address; what it says is learned.  wait: for a bounded time;
 * else it is asked in its own time and the answer is UNTOLD.  Set once; without one nobody is asked.
 */
typedef enum verify_told permit_ask_fn(int64_t domain_id, struct slice address, bool wait);
void permit_on_ask(permit_ask_fn *fn);

/* False: it could not be asked (451). */
AWAITS bool permit_sender(struct arena *arena, struct permit *permit, struct authorize_decision *out)
    __attribute__((warn_unused_result));
/* By what is known here: no primary is asked yet. */
AWAITS bool permit_recipient(struct arena *arena, struct permit *permit, struct permit_recipient *recipient,
                             struct authorize_decision *out) __attribute__((warn_unused_result));
/*
 * Asks its primary, if that must be asked whether a recipient who was taken exists; after all else that may refuse the
 * client.
 */
AWAITS void permit_primary(struct arena *arena, struct permit *permit, struct permit_recipient *recipient,
                           struct authorize_decision *out);

/* Port 25: whose network the client is in, and what it is granted; asked for once. False: could not be asked. */
AWAITS bool permit_client(struct arena *arena, struct permit *permit) __attribute__((warn_unused_result));

/*
 * Those that an expansion stands for, as far as they can be reached.  permit NULL: we ourselves send.  False: could not
 * be asked.
 */
AWAITS bool permit_expand(struct arena *arena, struct permit *permit, const struct authorize_sender *sender,
                          struct permit_recipient *recipient, struct authorize_decision *out)
    __attribute__((warn_unused_result));

/*
 * Is the client somebody's whom we know: an account, or in a network of an active customer, or granted something?
 * False: 451.
 */
AWAITS bool permit_known(struct arena *arena, struct permit *permit, bool *known) __attribute__((warn_unused_result));
/*
 * What is known of addresses in relay domains that learn, into found[].existence; nobody is asked, and what is not
 * known stays UNASKED. For the targets of an expansion, and for whom we ourselves write to.
 */
AWAITS bool permit_existing(struct arena *arena, const struct slice *addresses, struct directory_recipient *found,
                            unsigned count) __attribute__((warn_unused_result));

/* The end of data: what was used of the grants by now.  False: 451. */
AWAITS bool permit_usage(struct arena *arena, struct permit *permit) __attribute__((warn_unused_result));

/* An address in the header of a submission, by what permitted a recipient: see authorize_author(). */
AWAITS bool permit_author(struct arena *arena, struct permit *permit, const struct directory_grant *grant,
                          const char *field, struct slice address, struct authorize_decision *out)
    __attribute__((warn_unused_result));

/* Whose mail an accepted one to outside is, and its cell: of the alias that named it, else of who sends. */
int64_t permit_outside_customer(const struct permit *permit, const struct authorize_decision *decision,
                                const struct resolve_target *target, unsigned *cell);

#endif
