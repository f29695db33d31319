#ifndef STORAGE_PROVISION_COUNTRY_H
#define STORAGE_PROVISION_COUNTRY_H
/* provision_country: which country an address is in, as administrators say.  See provision.h, breaker.h. */
#include "storage/provision.h"

#define PROVISION_COUNTRY_NETWORKS_MAX 250000 /* in one list that replaces another */

struct provision_country {
    struct slice country; /* ISO 3166-1, two capital letters */
    int64_t networks;
};

/* In order of the words; after is exclusive, "" begins. */
AWAITS enum db_status provision_country_list(struct arena *arena, struct slice after, unsigned limit,
                                             struct provision_country **out, unsigned *count)
    __attribute__((warn_unused_result));
/* NONE: it has no networks. */
AWAITS enum db_status provision_country_get(struct arena *arena, struct slice country, struct provision_country *out)
    __attribute__((warn_unused_result));
/* Networks as cidr has them.  One that another country had is this one's from now on. */
AWAITS enum db_write provision_country_replace(struct arena *arena, struct slice country, const struct slice *networks,
                                               unsigned count, const struct provision_actor *actor,
                                               struct provision_refusal *refusal) __attribute__((warn_unused_result));
AWAITS enum db_write provision_country_delete(struct arena *arena, struct slice country,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* Of an address; NONE: it is in none. */
AWAITS enum db_status provision_country_of(struct arena *arena, struct slice address, struct slice *country)
    __attribute__((warn_unused_result));

#endif
