#ifndef PROTOCOLS_LOGIN_PRIMARY_H
#define PROTOCOLS_LOGIN_PRIMARY_H
/*
 * login_primary: is it the password at the domain's primary?  For domains that let us ask
 * (continuity_policy.check_password), and for the time that nobody can be asked.
 */
#include "protocols/login.h"
#include "storage/continuity_policy.h"

enum login_primary {
    LOGIN_PRIMARY_YES,
    LOGIN_PRIMARY_NO,   /* it has said that name and password do not fit */
    LOGIN_PRIMARY_AWAY, /* it has not said either, in time */
    LOGIN_PRIMARY_BUSY, /* we do not ask more at once */
};
struct login_primary_question {
    int64_t domain_id;
    const struct continuity_policy *policy;
    struct slice name, password;
};
/* Who asks; before that no password is checked at a primary. */
typedef AWAITS enum login_primary login_primary_fn(const struct login_primary_question *question);
void login_on_primary(login_primary_fn *fn);

#endif
