#ifndef STORAGE_PROVISION_ACCOUNT_H
#define STORAGE_PROVISION_ACCOUNT_H
/* provision_account: accounts, their passwords, aliases and first mailboxes.  See provision.h. */
#include <stdbool.h>

#include "storage/provision.h"

#define PROVISION_ALIASES_MAX 500

struct provision_account {
    int64_t id, customer_id, domain_id;
    struct slice address;
    struct slice state; /* schema/0003_account_state.sql has the words */
    bool has_password;
    struct slice scheme;   /* of its hash: "$y$", "{SSHA}"; {NULL,0}: no password */
    struct slice *aliases; /* in alphabetical order */
    unsigned alias_count;
    int64_t created_ms;
};

/* At most one of the two; none: no password, or in a change, as it is. */
struct provision_password {
    struct slice plain; /* is hashed here */
    struct slice hash;  /* of another system, as credential_admit() made it */
};

struct provision_account_change {
    struct provision_password password;
    bool drop_password;          /* no login any more */
    struct slice state;          /* {NULL,0}: as it is */
    const struct slice *aliases; /* with set_aliases: all that it has from now on */
    unsigned alias_count;
    bool set_aliases;
};

struct provision_account_given {
    int64_t customer_id;
    struct slice address;
    struct provision_password password;
    const struct slice *aliases;
    unsigned alias_count;
};

/*
 * With INBOX, Drafts, Sent, Trash and Junk.  The address and the aliases must be in domains of the
 * customer.  Without a password it receives, but nobody can log in.  A password that cannot be hashed is
 * REFUSED (INVALID); the caller checks its length before.
 */
AWAITS enum db_write provision_account_create(struct arena *arena, const struct provision_account_given *account,
                                              const struct provision_actor *actor, int64_t *id,
                                              struct provision_refusal *refusal) __attribute__((warn_unused_result));
/* key: an id in letters, or an address (not an alias). */
AWAITS enum db_status provision_account_get(struct arena *arena, struct slice key, struct provision_account *out)
    __attribute__((warn_unused_result));
/* customer_id or domain_id may be given; 0: of all. FOUND also when it is empty. */
AWAITS enum db_status provision_account_list(struct arena *arena, int64_t customer_id, int64_t domain_id,
                                             const struct provision_page *page, struct provision_account **out,
                                             unsigned *count) __attribute__((warn_unused_result));
AWAITS enum db_write provision_account_update(struct arena *arena, const struct provision_account *account,
                                              const struct provision_account_change *change,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* Its mailboxes and what is in them go; mail that is queued for the domain's primary stays queued. */
AWAITS enum db_write provision_account_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                              struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
