/*
 * settings_oauth: [oauth] for protocols/oauth.
 *
 * The secret is a file's one line, so that it is in no configuration that is shown around, and is read while the
 * process may still read what only root can.  It stays in memory as long as the process, which needs it for each
 * question.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "daemon/settings.h"

#define SECRET_SIZE 1024

/* The first line.  False: it cannot be read, is empty, or too long. */
static bool read_secret(const char *path, char secret[SECRET_SIZE])
{
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(secret, 1, SECRET_SIZE, file) : 0;

    if (file)
        fclose(file);
    if (n == SECRET_SIZE)
        return false;
    secret[n] = '\0';
    secret[strcspn(secret, "\r\n")] = '\0';
    return *secret != '\0';
}

const struct oauth_settings *settings_oauth(const struct config *c)
{
    static struct oauth_settings s;
    static char secret[SECRET_SIZE];

    if (*c->oauth_secret_file && !read_secret(c->oauth_secret_file, secret))
        log_fatal(78, "[oauth] secret_file: %s has no secret that can be read", c->oauth_secret_file);
    s = (struct oauth_settings){
        .introspection_url = c->oauth_introspection_url,
        .client = c->oauth_client,
        .secret = secret,
        .jwks = c->oauth_jwks,
        .ca_file = c->oauth_ca_file,
        .rules = {c->oauth_issuer, c->oauth_audience, c->oauth_scope, c->oauth_account_claim},
        .timeout_ms = (unsigned)c->oauth_timeout_ms,
        .keys_ms = (unsigned)c->oauth_keys_ms,
        .answer_ms = (unsigned)c->oauth_answer_ms,
    };
    return &s;
}

bool settings_oauth_check(const struct config *c, char *error, size_t error_size)
{
    char secret[SECRET_SIZE], where[400], why[400];

    if (*c->oauth_secret_file && !read_secret(c->oauth_secret_file, secret))
        snprintf(error, error_size, "%s: %s has no secret that can be read",
                 config_where(c, "oauth", "secret_file", where, sizeof where), c->oauth_secret_file);
    else if (*c->oauth_ca_file && access(c->oauth_ca_file, R_OK) != 0)
        snprintf(error, error_size, "%s: %s cannot be read", config_where(c, "oauth", "ca_file", where, sizeof where),
                 c->oauth_ca_file);
    else if (*c->oauth_jwks && !oauth_keys_check(c->oauth_jwks, why, sizeof why))
        snprintf(error, error_size, "%s: %s", config_where(c, "oauth", "jwks", where, sizeof where), why);
    else
        return true;
    return false;
}
