/*
 * oauth_token: the JSON of OAuth, judged strictly.
 *
 * A token is a stranger's until its signature is verified: its header chooses among our keys and nothing more.  The
 * algorithm is that of the key, so "none", and a public key taken for a shared secret, are not even names here (RFC
 * 8725 sections 2.1, 3.1).  A header with "crit" asks for what we do not know (RFC 7515 section 4.1.11).
 *
 * Claims: iss is the issuer, aud is or contains the audience, exp is to come, nbf is over (a minute is allowed to
 * clocks), the scope contains the word, and one claim is the account's address.  "email_verified": false takes an
 * "email" back: somebody has written it into his profile.
 *
 * Introspection (RFC 7662 section 2.2) tells the same in the same words, but for the signature, and may leave out what
 * its answer of "active" covers; what a rule asks for must be there all the same.
 *
 * Bounded by what is handed in, by 8 levels of nesting, and by KEYS_MAX.
 */
#include "protocols/oauth_token.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/secret_signature.h"

#define DEPTH_MAX 8
#define KEYS_MAX 32
#define SKEW_MS (60 * 1000)
#define ACCOUNT_MAX 320                /* bytes */
#define TIME_MAX INT64_C(253402300800) /* s: the year 10000 */

struct oauth_keys {
    unsigned count;
    struct {
        char *id; /* malloc'ed; NULL: it has none */
        bool ec;
        struct secret_key *key;
    } list[KEYS_MAX];
};

/* ------------------------------------------------------------------ JSON */

/* NULL: it is no JSON object. */
static struct json_object *parse(struct slice text)
{
    struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
    struct json_object *object;

    if (!tokener)
        abort();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    object = text.n < INT32_MAX ? json_tokener_parse_ex(tokener, text.p, (int)text.n) : NULL;
    if (json_tokener_get_error(tokener) != json_tokener_success || !json_object_is_type(object, json_type_object)) {
        json_object_put(object);
        object = NULL;
    }
    json_tokener_free(tokener);
    return object;
}

/* {NULL,0}: it is not there, or no text. */
static struct slice text_of(struct json_object *object, const char *name)
{
    struct json_object *value;

    if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_string))
        return (struct slice){NULL, 0};
    return slice_of(json_object_get_string(value), (size_t)json_object_get_string_len(value));
}

static bool is_text(struct json_object *object, const char *name, const char *text)
{
    struct slice value = text_of(object, name);

    return value.p && slice_equal(value, slice_str(text));
}

/* NumericDate (RFC 7519 section 2), in ms.  False: it is none; otherwise stands where it is not there. */
static bool time_of(struct json_object *object, const char *name, int64_t otherwise, int64_t *out)
{
    struct json_object *value;
    double seconds;

    *out = otherwise;
    if (!json_object_object_get_ex(object, name, &value))
        return true;
    if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
        return false;
    seconds = json_object_get_double(value);
    if (!(seconds >= 0 && seconds <= (double)TIME_MAX))
        return false;
    *out = (int64_t)(seconds * 1000);
    return true;
}

/* ------------------------------------------------------------------ keys (RFC 7517, RFC 7518 section 6) */

static struct slice number_of(struct arena *arena, struct json_object *object, const char *name)
{
    struct slice out, text = text_of(object, name);

    return text.p && secret_base64url_decode(arena, text, &out) ? out : slice_of("", 0);
}

static void take_key(struct arena *arena, struct oauth_keys *keys, struct json_object *object)
{
    struct slice id = text_of(object, "kid");
    struct secret_key *key = NULL;
    bool ec = is_text(object, "kty", "EC");

    if (text_of(object, "use").p && !is_text(object, "use", "sig"))
        return;
    if (text_of(object, "alg").p && !is_text(object, "alg", ec ? "ES256" : "RS256"))
        return;
    if (ec && is_text(object, "crv", "P-256"))
        key = secret_key_p256(number_of(arena, object, "x"), number_of(arena, object, "y"));
    else if (is_text(object, "kty", "RSA"))
        key = secret_key_rsa(number_of(arena, object, "n"), number_of(arena, object, "e"));
    if (!key)
        return;
    keys->list[keys->count].id = id.p ? strndup(id.p, id.n) : NULL;
    keys->list[keys->count].ec = ec;
    keys->list[keys->count++].key = key;
}

struct oauth_keys *oauth_keys_parse(struct slice json, const char **why)
{
    struct json_object *object = parse(json), *list = NULL;
    struct oauth_keys *keys = NULL;

    *why = "is no JWK Set (RFC 7517)";
    if (object && json_object_object_get_ex(object, "keys", &list) && json_object_is_type(list, json_type_array)) {
        struct arena *arena = arena_new(SIZE_MAX);

        keys = calloc(1, sizeof *keys);
        if (!keys)
            abort();
        for (size_t i = 0; i < json_object_array_length(list) && keys->count < KEYS_MAX; i++) {
            struct json_object *item = json_object_array_get_idx(list, i);

            if (json_object_is_type(item, json_type_object))
                take_key(arena, keys, item);
        }
        arena_free(&arena);
        if (!keys->count) {
            *why = "has no key for RS256 (2,048 bits at least) or ES256";
            oauth_keys_free(&keys);
        }
    }
    json_object_put(object);
    return keys;
}

void oauth_keys_free(struct oauth_keys **keys)
{
    if (!*keys)
        return;
    for (unsigned i = 0; i < (*keys)->count; i++) {
        free((*keys)->list[i].id);
        secret_key_free(&(*keys)->list[i].key);
    }
    free(*keys);
    *keys = NULL;
}

/*
 * ------------------------------------------------------------------ JWT (RFC 7519, in the form of RFC 7515 section
 * 3.1)
 */

/* Three parts with dots between. */
static bool split(struct slice token, struct slice parts[3])
{
    const char *first = token.n ? memchr(token.p, '.', token.n) : NULL,
               *last = token.n ? memrchr(token.p, '.', token.n) : NULL;

    if (!first || first == last)
        return false;
    parts[0] = slice_of(token.p, (size_t)(first - token.p));
    parts[1] = slice_of(first + 1, (size_t)(last - first) - 1);
    parts[2] = slice_skip(token, (size_t)(last - token.p) + 1);
    return parts[0].n && parts[1].n && parts[2].n && !memchr(parts[1].p, '.', parts[1].n);
}

bool oauth_token_is_jwt(struct slice token)
{
    struct slice parts[3];

    return split(token, parts);
}

static const char *read_header(struct arena *arena, struct slice json, struct oauth_jwt *out)
{
    struct json_object *header = parse(json), *unused;
    const char *why = NULL;

    if (!header)
        return "its header is no JSON";
    out->ec = is_text(header, "alg", "ES256");
    if (!out->ec && !is_text(header, "alg", "RS256"))
        why = "signed by another algorithm than RS256 or ES256";
    else if (json_object_object_get_ex(header, "crit", &unused))
        why = "its header asks for what is not known here";
    out->key_id = text_of(header, "kid");
    if (out->key_id.p)
        out->key_id = arena_slice(arena, out->key_id);
    json_object_put(header);
    return why;
}

const char *oauth_jwt_parse(struct arena *arena, struct slice token, struct oauth_jwt *out)
{
    struct slice parts[3], header;

    *out = (struct oauth_jwt){0};
    if (!split(token, parts) || !secret_base64url_decode(arena, parts[0], &header) ||
        !secret_base64url_decode(arena, parts[1], &out->claims) ||
        !secret_base64url_decode(arena, parts[2], &out->signature))
        return "no JWT";
    out->text = slice_of(token.p, parts[0].n + 1 + parts[1].n);
    return read_header(arena, header, out);
}

enum oauth_signature oauth_jwt_verify(const struct oauth_jwt *jwt, const struct oauth_keys *keys)
{
    enum oauth_signature result = OAUTH_SIGNATURE_NO_KEY;

    for (unsigned i = 0; i < keys->count; i++) {
        const char *id = keys->list[i].id;

        if (keys->list[i].ec != jwt->ec || (jwt->key_id.p && (!id || !slice_equal(slice_str(id), jwt->key_id))))
            continue;
        if (secret_key_verify(keys->list[i].key, jwt->text, jwt->signature))
            return OAUTH_SIGNATURE_GOOD;
        result = OAUTH_SIGNATURE_BAD;
    }
    return result;
}

/* ------------------------------------------------------------------ claims */

/* A text, or a list of texts with the one in it (RFC 7519 section 4.1.3). */
static bool contains(struct json_object *claims, const char *name, const char *text)
{
    struct json_object *value;

    if (!json_object_object_get_ex(claims, name, &value) || !json_object_is_type(value, json_type_array))
        return is_text(claims, name, text);
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        struct json_object *item = json_object_array_get_idx(value, i);

        if (json_object_is_type(item, json_type_string) && strcmp(json_object_get_string(item), text) == 0)
            return true;
    }
    return false;
}

/* RFC 6749 section 3.3: words with blanks between. */
static bool has_scope(struct json_object *claims, const char *wanted)
{
    struct slice rest = text_of(claims, "scope");
    size_t n = strlen(wanted);

    while (rest.n) {
        const char *end = memchr(rest.p, ' ', rest.n);
        size_t length = end ? (size_t)(end - rest.p) : rest.n;

        if (length == n && memcmp(rest.p, wanted, n) == 0)
            return true;
        rest = slice_skip(rest, end ? length + 1 : length);
    }
    return false;
}

static bool is_true(struct json_object *claims, const char *name, bool otherwise)
{
    struct json_object *value;

    if (!json_object_object_get_ex(claims, name, &value))
        return otherwise;
    return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

static const char *judge(struct json_object *claims, bool introspected, const struct oauth_rules *rules, int64_t now_ms,
                         int64_t *expires_ms)
{
    int64_t begins_ms;

    if (introspected && !is_true(claims, "active", false))
        return "not active";
    if (*rules->issuer && !is_text(claims, "iss", rules->issuer))
        return "of another issuer";
    if (*rules->audience && !contains(claims, "aud", rules->audience))
        return "for another audience";
    if (!time_of(claims, "exp", introspected ? INT64_MAX : INT64_MIN, expires_ms) ||
        !time_of(claims, "nbf", INT64_MIN, &begins_ms))
        return "its times make no sense";
    if (*expires_ms < now_ms - SKEW_MS) /* the time that is not told is over, too */
        return "expired";
    if (begins_ms != INT64_MIN && begins_ms > now_ms + SKEW_MS)
        return "not valid yet";
    if (*rules->scope && !has_scope(claims, rules->scope))
        return "without the scope";
    if (strcmp(rules->account_claim, "email") == 0 && !is_true(claims, "email_verified", true))
        return "its address is not verified";
    return NULL;
}

const char oauth_no_json[] = "no JSON";

const char *oauth_claims_judge(struct arena *arena, struct slice json, bool introspected,
                               const struct oauth_rules *rules, int64_t now_ms, struct slice *account,
                               int64_t *expires_ms)
{
    struct json_object *claims = parse(json);
    const char *why;
    struct slice name;

    *account = (struct slice){NULL, 0};
    *expires_ms = INT64_MIN;
    if (!claims)
        return oauth_no_json;
    why = judge(claims, introspected, rules, now_ms, expires_ms);
    name = text_of(claims, rules->account_claim);
    if (!why && (!name.n || name.n > ACCOUNT_MAX || memchr(name.p, '\0', name.n)))
        why = "names no account";
    if (!why)
        *account = arena_slice(arena, name);
    json_object_put(claims);
    return why;
}
