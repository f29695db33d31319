#ifndef PROTOCOLS_LOGIN_H
#define PROTOCOLS_LOGIN_H
/*
 * login: may this name, with this secret, use this service?  What SASL's mechanisms, IMAP's LOGIN and POP3's USER have
 * in common.
 *
 * A name that is nobody's, or may not sign in, goes the same way as one with a wrong password: the same work, the same
 * answer, and that at a time that does not tell what the work was (guard_delay()).
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "core/tls.h"
#include "storage/directory.h"

#define LOGIN_NAME_MAX 320 /* bytes: local part 64, '@', domain 255 */

struct login {
    struct arena *arena;              /* where the account lives */
    const char *service;              /* "smtp": signs in to send; "imap", "pop3": to read */
    const char *client;               /* its address */
    bool known;                       /* the name is somebody's who may sign in */
    struct slice name;                /* that was looked for */
    struct directory_account account; /* id 0: nobody's; not known: without keys, and its hash proves nothing */
};

/* FOUND: it was looked for; see known.  Never NONE. */
AWAITS enum db_status login_find(struct login *login, struct slice name) __attribute__((warn_unused_result));
/*
 * Likewise, by a certificate that was verified.  as: the account's address; empty: the certificate tells.  NONE: never.
 */
AWAITS enum db_status login_find_certificate(struct login *login, const struct tls_peer *certificate, struct slice as)
    __attribute__((warn_unused_result));
/*
 * After login_find(): the account's, or made-up ones that no password fits; sha1: for SCRAM-SHA-1.  NONE and FAILED:
 * they cannot be had now.
 */
AWAITS enum db_status login_scram_keys(const struct login *login, struct slice name, bool sha1, struct slice *keys)
    __attribute__((warn_unused_result));
enum login_answer { LOGIN_YES, LOGIN_NO, LOGIN_UNAVAILABLE };
/*
 * After login_find().  YES: the password, or an app password for this service and client, is the account's, or its
 * primary has taken it, and it may sign in.
 */
AWAITS enum login_answer login_check(struct login *login, struct slice password) __attribute__((warn_unused_result));

/*
 * Passwords that are checked at the domain's primary (login_primary.c, which registers itself).  check: when the password
 * is not the account's own; fits: it is the one that is kept from the primary; YES: login->account is who signs in, and
 * may have been nobody here before.  kept: FOUND if what is kept may be used without asking.
 */
struct login_primary_way {
    AWAITS enum login_answer (*check)(struct login *login, struct slice password, bool fits);
    AWAITS enum db_status (*kept)(struct arena *arena, const struct directory_account *account);
};
void login_use_primary(const struct login_primary_way *way);

#endif
