/*
 * credential_scheme: which password hashes of other systems are taken.
 *
 * An installation's accounts come from somewhere, and with them hashes that nobody can turn back into passwords.  They
 * are stored as they are, verified as they are, and replaced by ours at the first login that proves the password
 * (storage/credential_upgrade.c).  So a weak one is taken if it is no worse than what it was: a salted or plain digest
 * protects little, but it stands in the old system as well, and here it ends at the next login.
 *
 *   taken     $y$ yescrypt, $2a$ $2b$ $2y$ bcrypt, $6$ sha512-crypt, $5$ sha256-crypt, $1$ md5-crypt, each also behind {CRYPT} or
 *             Dovecot's name for it; {SSHA512} {SSHA256} {SSHA} {SMD5} and, without salt, {SHA512} {SHA256} {SHA} (RFC
 *             2307 5.3, and the same form with newer digests)
 *   not taken {PLAIN} {CLEARTEXT}: that is a password, which belongs into `password`; stored, it would be one.
 *             {MD5} {PLAIN-MD5} {LDAP-MD5}: three programs mean three things by these names, and all are in
 *             everybody's tables. DES crypt: it looks at eight characters, so a wrong password passes.  $2x$: made by
 *             a bug, likewise. What must be computed by others ({NTLM}, {DIGEST-MD5}, {PBKDF2}, {ARGON2ID}): we cannot
 *             verify it. Hashes so dear that a login would keep a thread for more than about a second: the bounds are
 *             below.
 *
 * The form is judged strictly, because a hash that can never match would be found out by its owner, too late.
 */
#include "storage/credential_scheme.h"

#include <string.h>

#define WANTED                                                                                                         \
    "must be a crypt(3) hash (yescrypt, bcrypt, sha512-crypt, sha256-crypt, md5-crypt) or {SSHA512}, {SSHA256}, "      \
    "{SSHA}, {SMD5}, {SHA512}, {SHA256} or {SHA} with base64"
#define TOO_DEAR "costs more than this server spends on a login"

#define SHA_ROUNDS_MIN 1000   /* crypt(5) */
#define SHA_ROUNDS_MAX 300000 /* with a password of 500 bytes about 0.7 s */
#define BCRYPT_COST_MIN 4
#define BCRYPT_COST_MAX 14
/* Above these two checks may take more than a second. */
#define SHA_ROUNDS_TWICE 100000
#define BCRYPT_COST_TWICE 12

/* Names that stand before a crypt(3) string: OpenLDAP's, then Dovecot's. */
static const char *const crypt_names[] = {"CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT", "MD5-CRYPT"};

static const struct digest_name {
    const char *name;
    enum secret_digest algorithm;
    bool salted;
} digest_names[] = {
    {"SSHA512", SECRET_SHA512, true}, {"SSHA256", SECRET_SHA256, true}, {"SSHA", SECRET_SHA1, true},
    {"SMD5", SECRET_MD5, true},       {"SHA512", SECRET_SHA512, false}, {"SHA256", SECRET_SHA256, false},
    {"SHA", SECRET_SHA1, false},
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ------------------------------------------------------------------ crypt(3), see crypt(5) */

static bool begins(struct slice s, const char *prefix)
{
    size_t n = strlen(prefix);

    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

/* Takes at most max letters of crypt's alphabet. */
static size_t take_letters(struct slice *s, size_t max)
{
    size_t n = 0;

    while (n < s->n && n < max && s->p[n] &&
           strchr("./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", s->p[n]))
        n++;
    *s = slice_skip(*s, n);
    return n;
}

static bool take_dollar(struct slice *s)
{
    if (s->n == 0 || s->p[0] != '$')
        return false;
    *s = slice_skip(*s, 1);
    return true;
}

/* Without leading zeros; at most seven digits. */
static bool take_number(struct slice *s, unsigned *out)
{
    size_t n = 0;

    for (*out = 0; n < s->n && n < 7 && s->p[n] >= '0' && s->p[n] <= '9'; n++)
        *out = *out * 10 + (unsigned)(s->p[n] - '0');
    if (n == 0 || s->p[0] == '0')
        return false;
    *s = slice_skip(*s, n);
    return true;
}

/* salt "$" hash, to the end */
static const char *salt_and_hash(struct slice s, size_t salt_max, size_t hash_size)
{
    bool fits =
        take_letters(&s, salt_max) > 0 && take_dollar(&s) && take_letters(&s, hash_size) == hash_size && s.n == 0;

    return fits ? NULL : WANTED;
}

/* ["rounds=" number "$"] salt "$" hash */
static const char *sha_crypt(struct slice s, size_t hash_size)
{
    unsigned rounds;

    if (begins(s, "rounds=")) {
        s = slice_skip(s, strlen("rounds="));
        if (!take_number(&s, &rounds) || rounds < SHA_ROUNDS_MIN || !take_dollar(&s))
            return WANTED;
        if (rounds > SHA_ROUNDS_MAX)
            return TOO_DEAR;
    }
    return salt_and_hash(s, 16, hash_size);
}

/* cost of two digits "$" 22 letters of salt and 31 of hash */
static const char *bcrypt(struct slice s)
{
    unsigned cost;

    if (s.n < 3 || s.p[0] < '0' || s.p[0] > '9' || s.p[1] < '0' || s.p[1] > '9' || s.p[2] != '$')
        return WANTED;
    cost = (unsigned)(s.p[0] - '0') * 10 + (unsigned)(s.p[1] - '0');
    s = slice_skip(s, 3);
    if (take_letters(&s, 53) != 53 || s.n || cost < BCRYPT_COST_MIN)
        return WANTED;
    return cost > BCRYPT_COST_MAX ? TOO_DEAR : NULL;
}

/* "j", N, r as crypt_gensalt(3) writes them for its costs 1 to 11; up to 8 (128 MiB) is taken. */
static const char *yescrypt(struct slice s)
{
    if (s.n < 4 || s.p[0] != 'j' || (s.p[2] != '5' && s.p[2] != 'T') || s.p[3] != '$')
        return WANTED;
    if (!strchr("789ABC", s.p[1]))
        return strchr("DEF", s.p[1]) ? TOO_DEAR : WANTED;
    return salt_and_hash(slice_skip(s, 4), 86, 43);
}

static const char *crypt_form(struct slice s)
{
    if (begins(s, "$y$"))
        return yescrypt(slice_skip(s, 3));
    if (begins(s, "$2a$") || begins(s, "$2b$") || begins(s, "$2y$"))
        return bcrypt(slice_skip(s, 4));
    if (begins(s, "$6$"))
        return sha_crypt(slice_skip(s, 3), 86);
    if (begins(s, "$5$"))
        return sha_crypt(slice_skip(s, 3), 43);
    if (begins(s, "$1$"))
        return salt_and_hash(slice_skip(s, 3), 8, 22);
    return WANTED;
}

/* ------------------------------------------------------------------ {NAME} */

static const struct digest_name *find_digest(struct slice name)
{
    for (unsigned i = 0; i < COUNT(digest_names); i++)
        if (slice_equal_nocase(name, slice_str(digest_names[i].name)))
            return &digest_names[i];
    return NULL;
}

/* False: no "{NAME}" at its begin. */
static bool split(struct slice s, struct slice *name, struct slice *rest)
{
    const char *end = s.n && s.p[0] == '{' ? memchr(s.p, '}', s.n) : NULL;

    if (!end)
        return false;
    *name = slice_of(s.p + 1, (size_t)(end - s.p) - 1);
    *rest = slice_skip(s, name->n + 2);
    return true;
}

/* The digest comes first, what follows is the salt. */
static bool take_apart(const struct digest_name *digest, struct slice base64, struct credential_digest *out)
{
    struct arena *arena = arena_new(4096);
    size_t size = secret_digest_size(digest->algorithm);
    struct slice decoded;
    bool good = base64.n < CREDENTIAL_HASH_MAX && secret_base64_decode(arena, base64, &decoded) && decoded.n >= size &&
                decoded.n - size <= CREDENTIAL_SALT_MAX && (decoded.n > size) == digest->salted;

    if (good) {
        out->algorithm = digest->algorithm;
        out->salt_size = decoded.n - size;
        memcpy(out->bytes, decoded.p, size);
        memcpy(out->salt, decoded.p + size, out->salt_size);
    }
    arena_free(&arena);
    return good;
}

static const char *named(struct arena *arena, struct slice name, struct slice rest, struct slice *stored)
{
    const struct digest_name *digest = find_digest(name);
    struct credential_digest parts;

    if (slice_equal_nocase(name, SLICE("PLAIN")) || slice_equal_nocase(name, SLICE("CLEARTEXT")))
        return "is a password in clear: give it as \"password\"";
    for (unsigned i = 0; i < COUNT(crypt_names); i++)
        if (slice_equal_nocase(name, slice_str(crypt_names[i]))) {
            *stored = arena_slice(arena, rest);
            return crypt_form(rest);
        }
    if (!digest || !take_apart(digest, rest, &parts))
        return WANTED;
    *stored = slice_str(arena_printf(arena, "{%s}%.*s", digest->name, SLICE_ARG(rest)));
    return NULL;
}

const char *credential_scheme_admit(struct arena *arena, struct slice given, struct slice *stored)
{
    struct slice name, rest;

    if (given.n == 0 || given.n >= CREDENTIAL_HASH_MAX || memchr(given.p, '\0', given.n))
        return WANTED;
    if (split(given, &name, &rest))
        return named(arena, name, rest, stored);
    *stored = arena_slice(arena, given);
    return crypt_form(given);
}

bool credential_scheme_digest(struct slice stored, struct credential_digest *out)
{
    struct slice name, rest;
    const struct digest_name *digest = split(stored, &name, &rest) ? find_digest(name) : NULL;

    return digest && take_apart(digest, rest, out);
}

bool credential_scheme_is_cheap(struct slice stored)
{
    return !begins(stored, "$y$") && !begins(stored, "$2");
}

bool credential_scheme_is_dear(struct slice stored)
{
    unsigned rounds;

    if (begins(stored, "$2"))
        return stored.n > 6 && (stored.p[4] - '0') * 10 + (stored.p[5] - '0') > BCRYPT_COST_TWICE;
    if (!begins(stored, "$6$rounds=") && !begins(stored, "$5$rounds="))
        return false;
    stored = slice_skip(stored, strlen("$6$rounds="));
    return take_number(&stored, &rounds) && rounds > SHA_ROUNDS_TWICE;
}

bool credential_scheme_is_current(struct slice stored)
{
    return begins(stored, "$y$");
}
