/*
 * app_password: making, recognising and finding app passwords.
 *
 * An app password is 20 letters of an alphabet of 32 without look-alikes: 100 random bits.  Nobody guesses that,
 * online or from a stolen table, so a plain SHA-256 is stored, and which of an account's it is, is one look-up by
 * index, however many it has. A password that does not look like one costs no look-up.
 *
 * Because the mechanism must be told the secret, they work where a password is sent (PLAIN, LOGIN, IMAP's LOGIN, USER),
 * over TLS. SCRAM works with one secret for a name: the server speaks first, with that secret's salt (RFC 5802 section
 * 3), and cannot know which of several the client is going to use.
 *
 * last_used_at says "about when": it is written when the last time is APP_PASSWORD_USED_INTERVAL ago, not at each
 * login.
 */
#include "storage/app_password.h"

#include <netinet/in.h>
#include <string.h>

#define LOG_MODULE "app_password"
#include "core/cidr.h"
#include "core/log.h"
#include "storage/db.h"
#include "storage/directory.h"

#define LETTERS 20
#define GROUP 4
#define APP_PASSWORD_USED_INTERVAL "10 minutes"

static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789";

void app_password_make(char text[APP_PASSWORD_TEXT_SIZE], unsigned char digest[SECRET_SHA256_SIZE])
{
    unsigned char random[LETTERS];
    char *out = text;

    secret_random(random, sizeof random);
    for (unsigned i = 0; i < LETTERS; i++) {
        if (i && i % GROUP == 0)
            *out++ = '-';
        *out++ = alphabet[random[i] % 32]; /* 256 is a multiple: no letter is likelier */
    }
    *out = '\0';
    secret_wipe(random, sizeof random);
    app_password_digest(slice_str(text), digest);
}

/* False: the text is no app password. */
static bool take_letters(struct slice text, char letters[LETTERS])
{
    size_t count = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i] >= 'A' && text.p[i] <= 'Z' ? (char)(text.p[i] + ('a' - 'A')) : text.p[i];

        if (c == '-' || c == ' ')
            continue;
        if (count == LETTERS || !c || !strchr(alphabet, c))
            return false;
        letters[count++] = c;
    }
    return count == LETTERS;
}

bool app_password_digest(struct slice text, unsigned char digest[SECRET_SHA256_SIZE])
{
    char letters[LETTERS];
    bool is_one = take_letters(text, letters);

    if (is_one)
        secret_sha256(slice_of(letters, LETTERS), digest);
    secret_wipe(letters, sizeof letters); /* in part the account's own password, if it is none */
    return is_one;
}

static const struct db_statement find = {
    "app_password_find",
    "select id, label, coalesce(expires_at <= now(), false), $3::text = any(scopes),"
    "       coalesce(networks = '{}' or $4::text::inet <<= any(networks::inet[]), false),"
    "       last_used_at is null or last_used_at < now() - interval '" APP_PASSWORD_USED_INTERVAL "'"
    "  from app_password where account_id = $1::bigint and secret_sha256 = $2::bytea",
};

AWAITS enum db_status app_password_find(struct arena *arena, int64_t account_id, struct slice text, const char *scope,
                                        const char *client, struct app_password *out)
{
    unsigned char digest[SECRET_SHA256_SIZE];
    char address[INET6_ADDRSTRLEN];
    struct params params;
    struct rows *rows = NULL;

    *out = (struct app_password){0};
    if (!app_password_digest(text, digest))
        return DB_NONE;
    params_init(&params, arena);
    params_int64(&params, account_id);
    params_bytes(&params, slice_of((const char *)digest, sizeof digest));
    params_text(&params, slice_str(scope));
    params_text(&params, client && cidr_plain_address(client, address) ? slice_str(address) : slice_of(NULL, 0));
    enum db_status status = db_read(arena, &find, &params, &rows);
    if (status != DB_FOUND)
        return status;
    out->id = row_int64(rows, 0, 0);
    out->label = row_text(rows, 0, 1);
    out->refused = row_bool(rows, 0, 2)    ? "expired"
                   : !row_bool(rows, 0, 3) ? "not for this service"
                   : !row_bool(rows, 0, 4) ? "not from this network"
                                           : NULL;
    out->mark = row_bool(rows, 0, 5);
    return DB_FOUND;
}

static const struct db_statement mark_used = {
    "app_password_mark_used",
    "update app_password set last_used_at = now() where id = $1::bigint",
};

AWAITS void app_password_mark_used(struct arena *arena, int64_t id)
{
    struct db_unit *unit = db_unit_new(arena);

    unit->relaxed = true;
    params_int64(db_unit_add(unit, &mark_used), id);
    if (db_unit_run(unit) != DB_DONE)
        log_debug("last use not recorded", log_id("app_password", id));
}
