#ifndef RELAY_RESOLVE_H
#define RELAY_RESOLVE_H
/*
 * resolve: from an address that stands for others to those that its mail goes to.  Pure: the caller looks addresses
 * up, as many at a time as are pending.
 *
 *     resolve_begin(&r, ...);
 *     while (resolve_pending(&r, &addresses, &count))
 *         look them up into found[count], then resolve_found(&r, found);
 *     resolve_decide(&r, &decision);
 *
 * Everything lives in the caller's arena.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"
#include "relay/authorize.h"
#include "storage/directory.h"

#define RESOLVE_DEPTH_MAX 8      /* an alias of an alias of ... */
#define RESOLVE_TARGETS_MAX 2000 /* addresses that one may come to, those in between included */
#define RESOLVE_NAMES_MAX 10000  /* targets of all expansions on the way, each as often as it is named */
#define RESOLVE_PENDING_MAX 100  /* addresses of one look-up */

struct resolve_target {
    struct slice address;
    enum authorize_verdict verdict;       /* MAILBOX, RELAY or OUTSIDE */
    const struct directory_expansion *by; /* the alias, group or catch-all that named it; NULL: the client did */
    struct directory_recipient found;
};

struct resolve {
    struct arena *arena;
    const struct authorize_client *client; /* NULL: ourselves, who may post everywhere */
    const struct authorize_sender *sender;
    struct slice address; /* what it all began with */
    struct resolve_target *targets;
    unsigned count, room, looked_up, level_end, names, depth;
    bool too_much; /* deeper or more than the limits */
    bool closed;   /* the sender may not post to a group among them */
};

/* May the sender send to this group (to an alias: always)? */
bool resolve_may_post(const struct authorize_client *client, const struct authorize_sender *sender,
                      const struct directory_expansion *expansion);

/* found: what is known of the address; it is an expansion. */
void resolve_begin(struct resolve *r, struct arena *arena, const struct authorize_client *client,
                   const struct authorize_sender *sender, struct slice address,
                   const struct directory_recipient *found);
bool resolve_pending(const struct resolve *r, struct slice **addresses, unsigned *count)
    __attribute__((warn_unused_result));
void resolve_found(struct resolve *r, const struct directory_recipient *found);
/*
 * Keeps those that mail can go to, each once.  If there are none *out becomes the refusal: 550 5.1.1 (they do not
 * exist), 550 5.2.1 (they take no mail), 550 5.7.2 (the sender may not), or 451 4.3.5 (too many, too deep: a mistake
 * that an administrator can mend).
 */
void resolve_decide(struct resolve *r, struct authorize_decision *out);

#endif
