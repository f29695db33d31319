#ifndef RELAY_SCREEN_H
#define RELAY_SCREEN_H
/*
 * screen: may a stranger bring mail for this recipient?  Pure: from a policy and what is known of the client to a
 * decision, in the words of authorize.h.  It is asked about what relay/authorize.c would take; gathering is
 * relay/screen_client.h.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"
#include "relay/authorize.h"
#include "storage/client_policy.h"

/* What the client's reverse name is worth: RFC 1912 2.1, RFC 8601 3. */
enum screen_name {
    SCREEN_NAME_NOT_ASKED,
    SCREEN_NAME_FAILED, /* it could not be found out */
    SCREEN_NAME_NONE,
    SCREEN_NAME_UNCONFIRMED, /* there is one, which leads elsewhere */
    SCREEN_NAME_CONFIRMED,
};

struct screen_hit {
    const char *zone, *text; /* text: why, says the list; "": it does not */
    int score;
};

struct screen_facts {
    const char *client;      /* its address */
    struct screen_hit *hits; /* the lists that it is in; one that could not be asked is not among them */
    unsigned hit_count;
    unsigned failed; /* how many could not */
    enum screen_name name;
};

/* The sum of what the lists say, and of the name if the policy counts it. */
int screen_score(const struct client_policy *policy, const struct screen_facts *facts);
/* True: refused, or put off because the name could not be found out; *out says so. */
bool screen_refuses(struct arena *arena, struct slice recipient, const struct client_policy *policy,
                    const struct screen_facts *facts, struct authorize_decision *out);
/* Is it to come again later, if it was not seen before? */
bool screen_greylists(const struct client_policy *policy, const struct screen_facts *facts);
/* It has come too early, or for the first time. */
void screen_put_off(struct arena *arena, struct slice recipient, unsigned seconds, struct authorize_decision *out);

/* "confirmed" and so on, for logs and the API. */
const char *screen_name_word(enum screen_name name);

#endif
