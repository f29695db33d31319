/*
 * imap_client_login: signing in, under TLS only.
 *
 * PLAIN (RFC 4616) where it is offered, as only that carries any password and an authorization identity;
 * else LOGIN, if the user and the password can stand in quoted strings.  A refusal is the credentials' fault unless the
 * server says otherwise by a code (RFC 5530: UNAVAILABLE, INUSE, LIMIT, SERVERBUG, CONTACTADMIN) or hangs up.
 */
#include <string.h>

#include "core/secret.h"
#include "protocols/imap_client_internal.h"
#include "protocols/imap_string.h"

static struct slice plain(struct arena *arena, struct slice as, struct slice user, struct slice password)
{
    size_t n = as.n + user.n + password.n + 2;
    char *bytes = arena_alloc(arena, n), *at = bytes;

    if (as.n)
        memcpy(at, as.p, as.n);
    at += as.n + 1;
    memcpy(at, user.p, user.n);
    at += user.n + 1;
    memcpy(at, password.p, password.n);
    struct slice encoded = secret_base64(arena, slice_of(bytes, n));
    secret_wipe(bytes, n);
    return encoded;
}

static AWAITS enum imap_client_answer by_plain(struct imap_client *client, struct slice user, struct slice password,
                                               struct slice as)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice response = plain(arena, as, user, password);
    enum imap_client_answer answer = IMAP_CLIENT_OK;

    imap_client_begin(client);
    if (imap_client_can(client, IMAP_CLIENT_SASL_IR)) {
        stream_printf(client->stream, "AUTHENTICATE PLAIN ");
    } else {
        stream_printf(client->stream, "AUTHENTICATE PLAIN\r\n");
        answer = imap_client_await_continue(client);
    }
    if (answer == IMAP_CLIENT_OK) {
        stream_write(client->stream, response);
        stream_write(client->stream, SLICE("\r\n"));
        answer = imap_client_await(client, imap_client_on_capability, NULL);
    }
    secret_wipe((char *)response.p, response.n);
    arena_free(&arena);
    return answer;
}

static bool is_quotable(struct slice text)
{
    char quoted[2 * IMAP_QUOTED_MAX + 2];
    bool can = imap_quoted(text, quoted).p;

    secret_wipe(quoted, sizeof quoted);
    return can;
}

static AWAITS enum imap_client_answer by_login(struct imap_client *client, struct slice user, struct slice password)
{
    if (!is_quotable(user) || !is_quotable(password))
        return imap_client_refuse(client, "the server has no way to take such a password");
    imap_client_begin(client);
    stream_write(client->stream, SLICE("LOGIN "));
    (void)!imap_client_quote(client, user);
    stream_write(client->stream, SLICE(" "));
    (void)!imap_client_quote(client, password);
    stream_write(client->stream, SLICE("\r\n"));
    return imap_client_await(client, imap_client_on_capability, NULL);
}

static bool is_their_trouble(const struct imap_client *client)
{
    static const char *const codes[] = {"UNAVAILABLE", "INUSE",        "LIMIT",
                                        "SERVERBUG",   "CONTACTADMIN", "PRIVACYREQUIRED"};

    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcasecmp(client->code, codes[i]) == 0)
            return true;
    return false;
}

enum imap_client_answer imap_client_login(struct imap_client *client, struct slice user, struct slice password,
                                          struct slice as, bool *refused)
{
    enum imap_client_answer answer;

    *refused = false;
    client->code[0] = '\0';
    if (!stream_is_tls(client->stream))
        return imap_client_refuse(client, "not without TLS");
    if (memchr(user.p, 0, user.n) || memchr(password.p, 0, password.n) || (as.n && memchr(as.p, 0, as.n)))
        return imap_client_refuse(client, "NUL is in no name and no password");
    client->capabilities_known = false;
    if (imap_client_can(client, IMAP_CLIENT_AUTH_PLAIN))
        answer = by_plain(client, user, password, as);
    else if (as.n)
        return imap_client_refuse(client, "the server does not offer PLAIN, which takes an authorization identity");
    else if (imap_client_can(client, IMAP_CLIENT_LOGIN_DISABLED))
        return imap_client_refuse(client, "the server offers no way to sign in that is known here");
    else
        answer = by_login(client, user, password);
    if (answer == IMAP_CLIENT_NO)
        *refused = client->code[0] == '\0' || !is_their_trouble(client);
    if (answer == IMAP_CLIENT_OK && !imap_client_learn(client))
        return IMAP_CLIENT_LOST;
    return answer;
}
