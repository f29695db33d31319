/*
 * oauth_grant: what a token server is asked, as its client, and what it answers.
 *
 *     grant_type=client_credentials | refresh_token&refresh_token=...       (RFC 6749 4.4.2, 6)
 *     &client_id=...[&client_secret=...][&scope=...]                        (2.3.1)
 *
 * The client's secret is in the body: the large services document that form, and take it.
 *
 *     {"access_token", "token_type", "expires_in", "refresh_token"}         (5.1)
 *     {"error", ...}, status 400 or 401                                     (5.2)
 *
 * The server is configured, but what it says goes into SASL messages, events and the log: a token must be of visible
 * ASCII, its type Bearer, and of an error only its code is told, if it looks like one; a description could say back
 * what we sent.  A token without a lifetime is taken for LIFETIME_UNTOLD.
 */
#include "protocols/oauth_grant.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/http.h"
#include "core/secret.h"

#define DEPTH_MAX 8
#define LIFETIME_UNTOLD 600
#define LIFETIME_MAX 86400
#define ERROR_MAX 60

struct slice oauth_grant_form(struct arena *arena, const struct oauth_grant *grant)
{
    size_t size = 200 + 3 * (grant->client_id.n + grant->client_secret.n + grant->refresh_token.n + grant->scope.n);
    char *form = secret_space(arena, size);

    *form = '\0';
    http_form_add(form, "grant_type", grant->refresh_token.p ? SLICE("refresh_token") : SLICE("client_credentials"));
    http_form_add(form, "client_id", grant->client_id);
    if (grant->client_secret.p)
        http_form_add(form, "client_secret", grant->client_secret);
    if (grant->refresh_token.p)
        http_form_add(form, "refresh_token", grant->refresh_token);
    if (grant->scope.p)
        http_form_add(form, "scope", grant->scope);
    return slice_str(form);
}

/* {NULL,0}: it is not there, or no text. */
static struct slice text_of(struct json_object *object, const char *name)
{
    struct json_object *value;

    if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_string))
        return (struct slice){NULL, 0};
    return slice_of(json_object_get_string(value), (size_t)json_object_get_string_len(value));
}

/* A token in a string of JSON is json-c's, which frees it as it is. */
static void wipe_text(struct json_object *object, const char *name)
{
    struct slice text = text_of(object, name);

    if (text.n)
        secret_wipe((char *)text.p, text.n);
}

static bool is_visible(struct slice text, size_t max)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] > '~')
            return false;
    return text.n && text.n <= max;
}

/* RFC 6749 5.2, and what others make of it: letters and '_'. */
static const char *error_of(struct arena *arena, struct json_object *object, unsigned status)
{
    struct slice code = text_of(object, "error");

    for (size_t i = 0; i < code.n; i++)
        if (!((code.p[i] >= 'a' && code.p[i] <= 'z') || code.p[i] == '_'))
            code.n = 0;
    if (!code.n || code.n > ERROR_MAX)
        return arena_printf(arena, "the token server answers with status %u", status);
    return arena_printf(arena, "the token server says %.*s (%u)", SLICE_ARG(code), status);
}

static int64_t lifetime_of(struct json_object *object)
{
    struct json_object *value;
    int64_t seconds;

    if (!json_object_object_get_ex(object, "expires_in", &value))
        return LIFETIME_UNTOLD;
    seconds = json_object_get_int64(value); /* some say "3600" */
    return seconds < 1 ? 1 : seconds > LIFETIME_MAX ? LIFETIME_MAX : seconds;
}

static const char *read_granted(struct arena *arena, struct json_object *object, struct oauth_granted *out)
{
    struct slice token = text_of(object, "access_token"), refresh = text_of(object, "refresh_token");

    if (!slice_equal_nocase(text_of(object, "token_type"), SLICE("Bearer")))
        return "the token server gives a token that is not of type Bearer";
    if (!is_visible(token, OAUTH_GRANT_TOKEN_MAX) || (refresh.p && !is_visible(refresh, OAUTH_GRANT_TOKEN_MAX)))
        return "the token server gives a token that cannot be used: too long, or not of visible ASCII";
    *out = (struct oauth_granted){
        .token = secret_slice(arena, token),
        .refresh_token = refresh.p ? secret_slice(arena, refresh) : refresh,
        .lifetime_s = lifetime_of(object),
    };
    return NULL;
}

const char *oauth_grant_read(struct arena *arena, unsigned status, struct slice body, struct oauth_granted *out)
{
    struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
    struct json_object *object;
    const char *why;

    if (!tokener)
        abort();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    object = body.n <= OAUTH_GRANT_ANSWER_MAX ? json_tokener_parse_ex(tokener, body.p, (int)body.n) : NULL;
    if (!json_object_is_type(object, json_type_object))
        why = arena_printf(arena, "the token server answers with status %u and no JSON object", status);
    else if (status != 200)
        why = error_of(arena, object, status);
    else
        why = read_granted(arena, object, out);
    if (json_object_is_type(object, json_type_object)) {
        wipe_text(object, "access_token");
        wipe_text(object, "refresh_token");
    }
    json_object_put(object);
    json_tokener_free(tokener);
    return why;
}
