#ifndef STORAGE_DIRECTORY_H
#define STORAGE_DIRECTORY_H
/*
 * directory: the read side of what administrators set up: who exists, who owns which address, which
 * networks may relay, where a domain's mail goes.  Everything a dialogue asks between EHLO and RCPT.
 *
 * Addresses and domains are given in any case and are compared lower-cased.  Results live in the
 * caller's arena.  The write side is storage/provision.h.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

enum directory_kind { DIRECTORY_HOSTED, DIRECTORY_RELAY, DIRECTORY_ALIAS };

/* Which addresses of what goes to a domain's next hops are taken, beside its accounts, aliases and groups. */
enum directory_valid { DIRECTORY_VALID_ANY, DIRECTORY_VALID_LISTED, DIRECTORY_VALID_LEARNED };

struct directory_domain {
    int64_t id, customer_id;
    unsigned cell;
    struct slice name;
    enum directory_kind kind;
    bool customer_active;
    int64_t outage_id; /* an outage of it is open: 0 or its id */
    enum directory_valid valid;
    bool accept_unknown; /* learned: what is not known is taken while its primary cannot be asked */
    bool elsewhere;      /* hosted, and names that are not here are at its next hops */
};

/* What each allows: schema/0003_account_state.sql. */
enum directory_state {
    DIRECTORY_ACTIVE,
    DIRECTORY_SUSPENDED, /* or its customer is */
    DIRECTORY_RECEIVE_ONLY,
    DIRECTORY_SEND_ONLY,
    DIRECTORY_CLOSED,
    DIRECTORY_CONTINUITY, /* of a relay domain: schema/0049_continuity_account.sql */
};

struct directory_account {
    int64_t id, customer_id, domain_id, inbox_id;
    unsigned cell;
    struct slice address; /* canonical: lower case */
    enum directory_state state;
    struct slice password_hash; /* crypt(3); {NULL,0}: none */
    struct slice scram_sha256;  /* "SCRAM-SHA-256$iter:salt$stored:server"; {NULL,0}: none */
    struct slice scram_sha1;    /* likewise */
    bool password_primary;      /* these are of the password that last worked at its primary */
};

static inline bool directory_may_send(const struct directory_account *account)
{
    return account->state == DIRECTORY_ACTIVE || account->state == DIRECTORY_SEND_ONLY ||
           account->state == DIRECTORY_CONTINUITY;
}

/* It takes mail, and who knows its password may read it. */
static inline bool directory_may_receive(const struct directory_account *account)
{
    return account->state == DIRECTORY_ACTIVE || account->state == DIRECTORY_RECEIVE_ONLY ||
           account->state == DIRECTORY_CONTINUITY;
}

enum directory_posters { DIRECTORY_POSTERS_ANYONE, DIRECTORY_POSTERS_MEMBERS, DIRECTORY_POSTERS_CUSTOMER };

/* An address that stands for others: an alias, a group, or one that nobody has in a domain with a catch-all. */
struct directory_expansion {
    int64_t id, customer_id; /* id: of a catch-all its domain's */
    unsigned cell;
    bool group, catch_all;
    bool srs;                       /* no row: the way back of forwarded mail, which relay/srs_way.h makes */
    enum directory_posters senders; /* who may send to it; of an alias: anyone */
    struct slice *targets;          /* lower case */
    unsigned target_count;
};

/* Learned: what the primary says of an address; the look-up does not ask it, relay/permit does. */
enum directory_existence {
    DIRECTORY_UNASKED, /* taken as if it existed */
    DIRECTORY_EXISTS,
    DIRECTORY_EXISTED, /* it cannot be asked now; it said so */
    DIRECTORY_NOT_THERE,
    DIRECTORY_UNKNOWN, /* it cannot be asked now, and never said */
};

/*
 * What a RCPT needs, in one round trip: the domain, and what is behind the address: an account, an expansion, or
 * nothing. In this order: who has the very address; who has what stands before the subaddress separator; the domain's
 * catch-all.
 */
struct directory_recipient {
    bool has_domain;                /* false: outside */
    struct directory_domain domain; /* of an alias domain's address: the target */
    bool listed;                    /* among the domain's valid recipients; not looked for where any is valid */
    enum directory_existence existence;
    struct slice address; /* what it is in the target of its alias domain; {NULL,0}: it is in none */
    bool has_account;
    struct directory_account account; /* without its secrets */
    bool has_expansion;
    struct directory_expansion expansion;
};

/*
 * Somebody here, even if he reads nothing at present, is known to the server behind a relay domain; so is who is
 * listed.  An account for the time of an outage was made of such knowledge and adds nothing to it.
 */
static inline bool directory_is_known(const struct directory_recipient *found)
{
    return found->listed || (found->has_account && found->account.state != DIRECTORY_CLOSED &&
                             found->account.state != DIRECTORY_CONTINUITY);
}

/* By login name (an account's address, not an alias). */
AWAITS enum db_status directory_account(struct arena *arena, struct slice login, struct directory_account *out)
    __attribute__((warn_unused_result));
/*
 * FOUND whenever the question could be asked; look at has_domain, has_account, has_expansion.  An account's further
 * addresses are resolved, expansions are not (relay/resolve.h).
 */
AWAITS enum db_status directory_recipient(struct arena *arena, struct slice address, struct directory_recipient *out)
    __attribute__((warn_unused_result));
/* The same for several addresses, in one round trip. */
AWAITS enum db_status directory_recipients(struct arena *arena, const struct slice *addresses, unsigned count,
                                           struct directory_recipient *out) __attribute__((warn_unused_result));
AWAITS enum db_status directory_domain(struct arena *arena, struct slice name, struct directory_domain *out)
    __attribute__((warn_unused_result));

struct directory_network {
    int64_t id, customer_id;
    unsigned cell;
    bool customer_active;
};
/* The most specific block that contains the client ("192.0.2.1", "2001:db8::1"). */
AWAITS enum db_status directory_network(struct arena *arena, const char *client, struct directory_network *out)
    __attribute__((warn_unused_result));

#endif
