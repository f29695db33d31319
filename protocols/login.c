/*
 * login: who may sign in.
 *
 * What a stranger learns: nothing but yes or no.  An unknown, suspended or passwordless account gets made-up SCRAM
 * keys with a salt that is always the same for the same name on every node; the exchange then fails where a wrong
 * password fails.  A password for nobody's name is compared with another account's hash (storage/stand_in.h), one for
 * who may not sign in with his own, and whatever comes out is no.  So it does for an account that has no keys for the mechanism yet: RFC 4954 has a
 * reply for it (432, a transition is needed), which would tell that the account exists.
 *
 * What is not the account's own password may be that at its primary (login_primary.c).
 *
 * A login that proves an imported hash's password replaces the hash (storage/credential_upgrade.h).
 */
#include "protocols/login.h"

#include <string.h>

#define LOG_MODULE "login"
#include "core/log.h"
#include "core/secret.h"
#include "storage/app_password.h"
#include "storage/certificate.h"
#include "storage/credential.h"
#include "storage/credential_upgrade.h"
#include "storage/installation.h"
#include "storage/name.h"
#include "storage/stand_in.h"

static const struct login_primary_way *primary; /* NULL: none is asked */

void login_use_primary(const struct login_primary_way *way)
{
    primary = way;
}

/* Keys that no password fits, always the same for the same name. */
static AWAITS enum db_status made_up_keys(struct arena *arena, struct slice name, bool sha1, struct slice *out)
{
    struct slice key, lower = name_key(arena, name);
    unsigned char salt[SECRET_SHA256_SIZE], stored[SECRET_SHA256_SIZE], server[SECRET_SHA256_SIZE];
    size_t size = secret_digest_size(sha1 ? SECRET_SHA1 : SECRET_SHA256);
    enum db_status status = installation_salt_key(&key);

    if (status != DB_FOUND)
        return status;
    secret_hmac_sha256(key, slice_str(arena_printf(arena, "%s %.*s", sha1 ? "sha-1" : "salt", SLICE_ARG(lower))), salt);
    secret_random(stored, size);
    secret_random(server, size);
    *out = slice_str(arena_printf(arena, "SCRAM-SHA-%s$%u:%s$%s:%s", sha1 ? "1" : "256", CREDENTIAL_SCRAM_ITERATIONS,
                                  secret_base64(arena, slice_of((char *)salt, 16)).p,
                                  secret_base64(arena, slice_of((char *)stored, size)).p,
                                  secret_base64(arena, slice_of((char *)server, size)).p));
    return DB_FOUND;
}

/* Who may not send any more, but receives, signs in to send and is told why at MAIL. */
static bool may_sign_in(const struct directory_account *account, const char *service)
{
    bool sending = strcmp(service, "smtp") == 0;

    return directory_may_receive(account) || (sending && directory_may_send(account));
}

AWAITS enum db_status login_find(struct login *login, struct slice name)
{
    struct directory_account found = {0};

    login->known = false;
    switch (name.n <= LOGIN_NAME_MAX ? directory_account(login->arena, name, &found) : DB_NONE) {
    case DB_FOUND: login->known = may_sign_in(&found, login->service); break;
    case DB_NONE: break;
    case DB_FAILED: return DB_FAILED;
    }
    login->account = found;
    login->name = arena_slice(login->arena, slice_of(name.p, name.n <= LOGIN_NAME_MAX ? name.n : 0));
    bool keys = login->known;
    if (keys && found.password_primary)
        switch (primary ? primary->kept(login->arena, &found) : DB_NONE) {
        case DB_FOUND: break;
        case DB_NONE: keys = false; break;
        case DB_FAILED: return DB_FAILED;
        }
    if (!keys)
        login->account.scram_sha256 = login->account.scram_sha1 = (struct slice){NULL, 0};
    return DB_FOUND;
}

AWAITS enum db_status login_find_certificate(struct login *login, const struct tls_peer *certificate, struct slice as)
{
    const struct certificate_question question = {slice_str(certificate->fingerprint), certificate->addresses,
                                                  certificate->address_count, login->service, as};
    struct certificate found;

    login->known = false;
    switch (certificate_find(login->arena, &question, &found)) {
    case DB_FOUND: break;
    case DB_NONE:
        log_info("nobody's certificate", log_str("sha256", certificate->fingerprint), log_slice("as", as));
        return DB_FOUND;
    case DB_FAILED: return DB_FAILED;
    }
    enum db_status status = login_find(login, found.account);
    if (status == DB_FOUND && login->known) {
        log_info("certificate accepted", log_slice("account", found.account), log_slice("label", found.label),
                 log_str("sha256", certificate->fingerprint));
        if (found.mark)
            certificate_mark_used(login->arena, found.id);
    }
    return status;
}

AWAITS enum db_status login_scram_keys(const struct login *login, struct slice name, bool sha1, struct slice *keys)
{
    *keys = sha1 ? login->account.scram_sha1 : login->account.scram_sha256;
    return keys->p ? DB_FOUND : made_up_keys(login->arena, name, sha1, keys);
}

/*
 * Looked for whoever it is, so that nobody's name costs the same.  One that may not be used goes on to be compared
 * with the account's own password, and fails as a wrong one.
 */
static AWAITS enum login_answer app_password_check(const struct login *login, struct slice password)
{
    struct app_password found;

    switch (app_password_find(login->arena, login->known ? login->account.id : 0, password, login->service,
                              login->client, &found)) {
    case DB_NONE: return LOGIN_NO;
    case DB_FAILED: return LOGIN_UNAVAILABLE;
    case DB_FOUND: break;
    }
    if (found.refused) {
        log_info("app password refused", log_slice("account", login->account.address), log_slice("label", found.label),
                 log_str("reason", found.refused));
        return LOGIN_NO;
    }
    if (found.mark)
        app_password_mark_used(login->arena, found.id);
    log_info("app password accepted", log_slice("account", login->account.address), log_slice("label", found.label));
    return LOGIN_YES;
}

AWAITS enum login_answer login_check(struct login *login, struct slice password)
{
    enum login_answer answer = app_password_check(login, password);
    struct slice hash = login->account.password_hash;

    if (answer != LOGIN_NO)
        return answer;
    if (!login->account.id && stand_in_hash(login->arena, login->name, &hash) == DB_FAILED)
        return LOGIN_UNAVAILABLE;
    bool fits = credential_verify(hash, password);
    if (!fits || !login->known || login->account.password_primary)
        return primary ? primary->check(login, password, fits) : LOGIN_NO;
    credential_upgrade(&login->account, password);
    return LOGIN_YES;
}
