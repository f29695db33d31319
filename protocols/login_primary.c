/*
 * login_primary: is it the password at the domain's primary?
 *
 *     outage   what is kept fits     yes, and nobody is asked
 *     any      the primary says yes  yes; it is kept, unless the account has a password of its own; who has no account
 *                                    gets one, where the domain wants accounts for known recipients: he has proved it
 *              the primary says no   no; and if that is what was kept, it is not kept any longer
 *              it says neither       yes if what is kept fits, else no
 *              too many ask          yes if what is kept fits, else it cannot be told now
 *
 * SCRAM does not tell us the password, so the primary cannot be asked: kept keys are good in an outage only, else they
 * are as if there were none.
 *
 * What a stranger learns: yes or no.  Of a domain that lets us ask, each name and password that does not fit here is
 * asked for there, whoever has an account; and when the primary is away, who has nothing kept is told no like one with
 * a wrong password, not that it cannot be told.  A no counts at the guard, so that guessing ends in a ban here before
 * the primary has seen much of it.
 */
#include "protocols/login_primary.h"

#include <string.h>

#define LOG_MODULE "login"
#include "core/log.h"
#include "storage/credential.h"
#include "storage/name.h"
#include "storage/outage_account.h"
#include "storage/primary_password.h"

static login_primary_fn *asks;

/* A domain that lets us ask, and how.  NONE: it does not, or is none of ours. */
static AWAITS enum db_status find_policy(struct arena *arena, struct slice address, struct directory_domain *domain,
                                         struct continuity_policy *policy)
{
    enum db_status status = directory_domain(arena, name_address_domain(address), domain);

    if (status != DB_FOUND)
        return status;
    if (domain->kind != DIRECTORY_RELAY || !domain->customer_active)
        return DB_NONE;
    if (continuity_policy_of(arena, domain->id, policy) != DB_FOUND)
        return DB_FAILED;
    return policy->check_password != CONTINUITY_CHECK_NONE && policy->check_host.n ? DB_FOUND : DB_NONE;
}

static AWAITS enum db_status kept(struct arena *arena, const struct directory_account *account)
{
    struct directory_domain domain;
    struct continuity_policy policy;
    enum db_status status = find_policy(arena, account->address, &domain, &policy);

    return status == DB_FOUND && !domain.outage_id ? DB_NONE : status;
}

/* The primary knows him.  FOUND: so do we now. */
static AWAITS enum db_status make_account(struct login *login, const struct directory_domain *domain,
                                          const struct continuity_policy *policy, struct slice address)
{
    const struct outage_account_wish wish = {
        .domain_id = domain->id,
        .domain_max = (unsigned)policy->accounts_max,
        .addresses = &address,
        .count = 1,
    };
    unsigned made, given;

    if (policy->accounts != CONTINUITY_ACCOUNTS_KNOWN)
        return DB_NONE;
    if (outage_account_make(&wish, &made, &given) != DB_DONE || login_find(login, address) != DB_FOUND)
        return DB_FAILED;
    if (made)
        log_info("account made for who signed in at the primary", log_slice("account", address));
    return login->known ? DB_FOUND : DB_NONE;
}

static AWAITS enum login_answer said_yes(struct login *login, const struct directory_domain *domain,
                                         const struct continuity_policy *policy, struct slice address,
                                         struct slice password, bool fits)
{
    if (!login->account.id)
        switch (make_account(login, domain, policy, address)) {
        case DB_FOUND: break;
        case DB_NONE: return LOGIN_NO;
        case DB_FAILED: return LOGIN_UNAVAILABLE;
        }
    if (!login->known)
        return LOGIN_NO;
    if (!fits && (!login->account.password_hash.p || login->account.password_primary))
        primary_password_keep(&login->account, password);
    log_info("the primary takes the password", log_slice("account", login->account.address));
    return LOGIN_YES;
}

static AWAITS enum login_answer check(struct login *login, struct slice password, bool fits)
{
    struct directory_domain domain;
    struct continuity_policy policy;
    struct slice address;

    fits &= login->known && login->account.password_primary;
    if (!name_address(login->arena, login->name, &address) || !password.n || password.n > CREDENTIAL_PASSWORD_MAX ||
        memchr(password.p, '\0', password.n))
        return LOGIN_NO;
    switch (find_policy(login->arena, address, &domain, &policy)) {
    case DB_FOUND: break;
    case DB_NONE: return LOGIN_NO;
    case DB_FAILED: return LOGIN_UNAVAILABLE;
    }
    if (fits && domain.outage_id)
        return LOGIN_YES;
    const struct login_primary_question question = {domain.id, &policy, address, password};
    switch (asks(&question)) {
    case LOGIN_PRIMARY_YES: return said_yes(login, &domain, &policy, address, password, fits);
    case LOGIN_PRIMARY_NO:
        if (fits)
            primary_password_drop(&login->account);
        return LOGIN_NO;
    case LOGIN_PRIMARY_AWAY: return fits ? LOGIN_YES : LOGIN_NO;
    case LOGIN_PRIMARY_BUSY: return fits ? LOGIN_YES : LOGIN_UNAVAILABLE;
    }
    return LOGIN_UNAVAILABLE;
}

void login_on_primary(login_primary_fn *fn)
{
    static const struct login_primary_way way = {check, kept};

    asks = fn;
    login_use_primary(&way);
}
