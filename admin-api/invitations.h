#ifndef ADMIN_API_INVITATIONS_H
#define ADMIN_API_INVITATIONS_H
/* invitations: what the resource and the page for browsers have in common. */
#include "admin-api/request.h"

#define INVITATIONS_PASSWORD_MIN 8 /* bytes */

/* Of the links: a token is put behind it; NULL or "": no links.  Must stay. */
void invitations_configure(const char *url);

enum invitations_used {
    INVITATIONS_DONE,
    INVITATIONS_GONE, /* it never was, is over, or was used */
    INVITATIONS_PASSWORD,
    INVITATIONS_TOO_MANY, /* attempts */
    INVITATIONS_AWAY,
};
/* The one that the path names, with this password. */
AWAITS enum invitations_used invitations_use_up(struct request *r, struct slice password,
                                                struct provision_refusal *refusal) __attribute__((warn_unused_result));

#endif
