/*
 * oauth_message: two ways to hand over a bearer token.
 *
 *     OAUTHBEARER, RFC 7628 section 3.1
 *     client-resp = gs2-header kvsep *kvpair kvsep          kvsep = %x01
 *     gs2-header  = ("n" / "y") "," [ "a=" saslname ] ","   ("p": there is no -PLUS form of it)
 *     kvpair      = 1*ALPHA "=" *(VCHAR / SP / HTAB / CR / LF) kvsep
 *     of which "auth" is "Bearer" SP b64token (RFC 6750 section 2.1); host and port are looked over
 *
 *     XOAUTH2, before the standard; as Google and Microsoft describe it
 *     client-resp = "user=" name %x01 "auth=Bearer " b64token %x01 %x01
 *
 * "auth" twice, or not at all, makes no sense: which one was meant is not guessed.
 */
#include "protocols/oauth_message.h"

#include <string.h>

#define SEPARATOR '\1'

static bool take(struct slice *s, const char *text)
{
    size_t n = strlen(text);

    if (s->n < n || !slice_equal_nocase(slice_of(s->p, n), slice_of(text, n)))
        return false;
    *s = slice_skip(*s, n);
    return true;
}

/* What stands before the letter, which goes too.  False: it does not come. */
static bool take_until(struct slice *s, char end, struct slice *out)
{
    const char *at = s->n ? memchr(s->p, end, s->n) : NULL;

    if (!at)
        return false;
    *out = slice_of(s->p, (size_t)(at - s->p));
    *s = slice_skip(*s, out->n + 1);
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* "Bearer" SP b64token */
static bool take_token(struct slice value, struct slice *token)
{
    size_t n = 0;

    if (!take(&value, "Bearer "))
        return false;
    while (value.n && value.p[0] == ' ')
        value = slice_skip(value, 1);
    *token = value;
    while (n < value.n && (is_letter(value.p[n]) || (value.p[n] >= '0' && value.p[n] <= '9') ||
                           (value.p[n] && strchr("-._~+/", value.p[n]))))
        n++;
    if (n == 0)
        return false;
    while (n < value.n && value.p[n] == '=')
        n++;
    return n == value.n;
}

/* saslname: "=2C" is a comma, "=3D" an equals sign, nothing else begins with one (RFC 5801 section 4). */
static bool unescape(struct arena *arena, struct slice name, struct slice *out)
{
    char *text = arena_alloc(arena, name.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '\0')
            return false;
        text[n] = name.p[i];
        if (name.p[i] == '=') {
            struct slice rest = slice_skip(name, i);

            if (!take(&rest, "=2C") && !(rest = slice_skip(name, i), take(&rest, "=3D")))
                return false;
            text[n] = name.p[i + 1] == '2' ? ',' : '=';
            i += 2;
        }
        n++;
    }
    *out = slice_of(text, n);
    return n > 0;
}

static bool take_header(struct arena *arena, struct slice *in, struct slice *account)
{
    struct slice flag, name;

    *account = (struct slice){"", 0};
    if (!take_until(in, ',', &flag) || !take_until(in, ',', &name) || flag.n != 1 ||
        (flag.p[0] != 'n' && flag.p[0] != 'y'))
        return false;
    return name.n == 0 || (take(&name, "a=") && unescape(arena, name, account));
}

static bool is_value(struct slice value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c > '~')
            return false;
    }
    return true;
}

bool oauth_message_bearer(struct arena *arena, struct slice in, struct oauth_message *out)
{
    struct slice pair, key;

    *out = (struct oauth_message){0};
    if (in.n > OAUTH_MESSAGE_MAX || !take_header(arena, &in, &out->account) || in.n == 0 || in.p[0] != SEPARATOR)
        return false;
    in = slice_skip(in, 1);
    while (in.n != 1 || in.p[0] != SEPARATOR) { /* the last one stands alone */
        if (!take_until(&in, SEPARATOR, &pair) || !take_until(&pair, '=', &key) || key.n == 0 || !is_value(pair))
            return false;
        for (size_t i = 0; i < key.n; i++)
            if (!is_letter(key.p[i]))
                return false;
        if (!slice_equal(key, SLICE("auth")))
            continue;
        if (out->token.p || !take_token(pair, &out->token))
            return false;
    }
    return out->token.p != NULL;
}

bool oauth_message_xoauth2(struct slice in, struct oauth_message *out)
{
    struct slice value;

    *out = (struct oauth_message){0};
    return in.n <= OAUTH_MESSAGE_MAX && take(&in, "user=") && take_until(&in, SEPARATOR, &out->account) &&
           out->account.n && !memchr(out->account.p, '\0', out->account.n) && take(&in, "auth=") &&
           take_until(&in, SEPARATOR, &value) && take_token(value, &out->token) && in.n == 1 && in.p[0] == SEPARATOR;
}
