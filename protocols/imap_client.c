/*
 * imap_client: the connection: TLS, capabilities, and how answers are read.
 *
 *     connect -> greeting -> STARTTLS -> TLS -> CAPABILITY -> sign in -> commands -> LOGOUT
 *             -> TLS -> greeting
 *
 * What was said before TLS is forgotten with it: capabilities are asked for anew, and input that came together with the
 * answer to STARTTLS is dropped (core/stream.c), as somebody in between may have put it there.  A server that is
 * signed in at once (PREAUTH) before TLS is not used: we would talk in clear to who knows whom.
 *
 * An answer is read response by response into an arena of its own, RESPONSE_MAX bytes at most; a server that says more,
 * or RESPONSES_MAX responses to one command, is LOST.  Each command has its time, however slowly bytes drip in.
 */
#include "protocols/imap_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/secret.h"
#include "core/stream_race.h"
#include "protocols/imap_client_internal.h"
#include "protocols/imap_string.h"

#define LINE_LIMIT (64 * 1024)
#define RESPONSE_MAX (256 * 1024)
#define RESPONSES_MAX 100000
#define LOGOUT_TIMEOUT_MS 2000

/* ------------------------------------------------------------------ answers */

enum imap_client_answer imap_client_lose(struct imap_client *client, const char *why)
{
    client->broken = true;
    snprintf(client->text, sizeof client->text, "%s", why);
    return IMAP_CLIENT_LOST;
}

enum imap_client_answer imap_client_refuse(struct imap_client *client, const char *why)
{
    snprintf(client->text, sizeof client->text, "%s", why);
    client->code[0] = '\0';
    return IMAP_CLIENT_NO;
}

static uint64_t command_deadline(const struct imap_client *client)
{
    uint64_t own = clock_steady_ms() + client->settings.reply_timeout_ms;

    return client->deadline && client->deadline < own ? client->deadline : own;
}

static AWAITS enum stream_status read_line(struct imap_client *client, uint64_t deadline, struct slice *line)
{
    uint64_t now = clock_steady_ms();

    if (now >= deadline)
        return STREAM_TIMED_OUT;
    return stream_read_line(client->stream, client->scratch, LINE_LIMIT, (unsigned)(deadline - now), line);
}

/* What was read, CRLF, n bytes of the stream. */
static AWAITS enum stream_status read_literal(struct imap_client *client, uint64_t deadline, struct slice *bytes,
                                              uint64_t n)
{
    uint64_t now = clock_steady_ms();
    char *all;

    if (bytes->n + n > RESPONSE_MAX)
        return STREAM_TOO_LONG;
    all = arena_alloc(client->scratch, bytes->n + 2 + n);
    memcpy(all, bytes->p, bytes->n);
    memcpy(all + bytes->n, "\r\n", 2);
    *bytes = slice_of(all, bytes->n + 2 + n);
    if (now >= deadline)
        return STREAM_TIMED_OUT;
    return stream_read_bytes(client->stream, all + bytes->n - n, n, (unsigned)(deadline - now));
}

static struct slice join(struct arena *arena, struct slice a, struct slice b)
{
    char *all = arena_alloc(arena, a.n + b.n + 1);

    memcpy(all, a.p, a.n);
    memcpy(all + a.n, b.p, b.n);
    return slice_of(all, a.n + b.n);
}

/* One response.  False: broken. */
static AWAITS bool read_response(struct imap_client *client, struct imap_client_response *out, uint64_t deadline)
{
    struct slice bytes, line;
    enum stream_status status;
    uint64_t n;

    if (client->broken)
        return false;
    arena_reset(client->scratch);
    status = read_line(client, deadline, &bytes);
    line = bytes;
    while (status == STREAM_OK && imap_client_literal(line, &n)) {
        status = read_literal(client, deadline, &bytes, n);
        if (status == STREAM_OK)
            status = read_line(client, deadline, &line);
        if (status == STREAM_OK && arena_used(client->scratch) > 4 * RESPONSE_MAX)
            status = STREAM_TOO_LONG;
        if (status == STREAM_OK)
            bytes = join(client->scratch, bytes, line);
    }
    if (status != STREAM_OK) {
        imap_client_lose(client, stream_status_text(status));
        return false;
    }
    if (!imap_client_response_read(bytes, out)) {
        imap_client_lose(client, "not an IMAP response");
        return false;
    }
    if (out->status == IMAP_CLIENT_SAYS_OK && slice_equal_nocase(out->code, SLICE("CAPABILITY"))) {
        client->capabilities = imap_client_capabilities(out->arguments);
        client->capabilities_known = true;
    }
    return true;
}

static struct imap_client_uid uid_of(struct slice arguments)
{
    return (struct imap_client_uid){imap_client_validity_of(arguments), imap_client_uid_of(arguments)};
}

static void note_answer(struct imap_client *client, const struct imap_client_response *response)
{
    memcpy(client->text, response->text, sizeof client->text);
    snprintf(client->code, sizeof client->code, "%.*s", SLICE_ARG(response->code));
    client->code_uid = (struct imap_client_uid){0};
    if (slice_equal_nocase(response->code, SLICE("COPYUID")) || slice_equal_nocase(response->code, SLICE("APPENDUID")))
        client->code_uid = uid_of(response->arguments);
}

static bool is_ours(const struct imap_client *client, struct slice tag)
{
    char ours[16];

    snprintf(ours, sizeof ours, "P%u", client->tag);
    return slice_equal(tag, slice_str(ours));
}

/* OK: tagged, or "+" if that is wanted. */
static AWAITS enum imap_client_answer await(struct imap_client *client, bool wants_continue, imap_client_data_fn *data,
                                            void *arg, bool *continued)
{
    uint64_t deadline = command_deadline(client);
    struct imap_client_uid copied = {0};

    *continued = false;
    for (unsigned i = 0; i < RESPONSES_MAX; i++) {
        struct imap_client_response response;

        if (!read_response(client, &response, deadline))
            return IMAP_CLIENT_LOST;
        if (response.form == IMAP_CLIENT_CONTINUE) {
            if (!wants_continue)
                return imap_client_lose(client, "the server goes on where it was not asked to");
            *continued = true;
            return IMAP_CLIENT_OK;
        }
        if (response.form == IMAP_CLIENT_UNTAGGED) {
            if (response.status == IMAP_CLIENT_SAYS_BYE)
                return imap_client_lose(client, response.text);
            if (slice_equal_nocase(response.code, SLICE("COPYUID"))) /* of MOVE (RFC 6851 4.3) */
                copied = uid_of(response.arguments);
            if (data)
                data(client, &response, arg);
            continue;
        }
        if (!is_ours(client, response.tag))
            return imap_client_lose(client, "the server answers what was not asked");
        note_answer(client, &response);
        if (!client->code_uid.uid)
            client->code_uid = copied;
        return response.status == IMAP_CLIENT_SAYS_OK ? IMAP_CLIENT_OK : IMAP_CLIENT_NO;
    }
    return imap_client_lose(client, "too much is said");
}

enum imap_client_answer imap_client_await(struct imap_client *client, imap_client_data_fn *data, void *arg)
{
    bool continued;

    return await(client, false, data, arg, &continued);
}

enum imap_client_answer imap_client_await_continue(struct imap_client *client)
{
    bool continued;
    enum imap_client_answer answer = await(client, true, NULL, NULL, &continued);

    if (answer == IMAP_CLIENT_OK && !continued)
        return imap_client_lose(client, "the server is done before it was told what");
    return answer;
}

void imap_client_begin(struct imap_client *client)
{
    stream_printf(client->stream, "P%u ", ++client->tag);
}

bool imap_client_quote(struct imap_client *client, struct slice text)
{
    char quoted[2 * IMAP_QUOTED_MAX + 2];
    struct slice out = imap_quoted(text, quoted);

    if (out.p)
        stream_write(client->stream, out);
    secret_wipe(quoted, sizeof quoted);
    return out.p;
}

/* ------------------------------------------------------------------ opening */

void imap_client_on_capability(struct imap_client *client, const struct imap_client_response *response, void *arg)
{
    (void)arg;
    if (response->status == IMAP_CLIENT_DATA && slice_equal_nocase(response->name, SLICE("CAPABILITY"))) {
        client->capabilities = imap_client_capabilities(response->rest);
        client->capabilities_known = true;
    }
}

bool imap_client_learn(struct imap_client *client)
{
    if (client->capabilities_known)
        return true;
    imap_client_begin(client);
    stream_printf(client->stream, "CAPABILITY\r\n");
    return imap_client_await(client, imap_client_on_capability, NULL) == IMAP_CLIENT_OK;
}

/* A step of opening. */
static unsigned step_ms(const struct imap_client_settings *settings)
{
    uint64_t now = clock_steady_ms(), end = now + settings->connect_timeout_ms;

    if (settings->deadline && settings->deadline < end)
        end = settings->deadline > now ? settings->deadline : now + 1;
    return (unsigned)(end - now);
}

static AWAITS bool greet(struct imap_client *client)
{
    struct imap_client_response response;

    if (!read_response(client, &response, clock_steady_ms() + step_ms(&client->settings)))
        return false;
    memcpy(client->text, response.text, sizeof client->text);
    if (response.form == IMAP_CLIENT_UNTAGGED && response.status == IMAP_CLIENT_SAYS_OK)
        return true;
    if (response.status == IMAP_CLIENT_SAYS_PREAUTH)
        imap_client_lose(client, "the server takes us for somebody");
    return false;
}

static AWAITS bool turn_to_tls(struct imap_client *client)
{
    enum stream_status status =
        stream_connect_tls(client->stream, client->settings.tls, client->host, step_ms(&client->settings));

    if (status != STREAM_OK) {
        snprintf(client->text, sizeof client->text, "TLS handshake failed: %s", stream_status_text(status));
        client->broken = true;
    } else if (client->settings.verify && !stream_tls_verified(client->stream)) {
        imap_client_lose(client, "its certificate is not for its name, or by nobody that is trusted");
    }
    client->capabilities_known = false;
    return !client->broken;
}

static AWAITS bool start_tls(struct imap_client *client)
{
    if (!imap_client_learn(client))
        return false;
    if (!imap_client_can(client, IMAP_CLIENT_STARTTLS_OFFERED)) {
        imap_client_lose(client, "STARTTLS is not offered");
        return false;
    }
    imap_client_begin(client);
    stream_printf(client->stream, "STARTTLS\r\n");
    return imap_client_await(client, NULL, NULL) == IMAP_CLIENT_OK && turn_to_tls(client);
}

static AWAITS bool begin(struct imap_client *client)
{
    if (client->settings.implicit_tls ? !turn_to_tls(client) || !greet(client) : !greet(client) || !start_tls(client))
        return false;
    if (!imap_client_learn(client))
        return false;
    if (!imap_client_can(client, IMAP_CLIENT_IMAP4)) {
        imap_client_lose(client, "it is not IMAP4rev1");
        return false;
    }
    return true;
}

static void set_port(struct dns_address *address, unsigned port)
{
    if (address->address.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->address)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)&address->address)->sin_port = htons((uint16_t)port);
}

static AWAITS enum stream_status connect_any(const struct imap_client_settings *settings, struct dns_address *addresses,
                                             unsigned count, unsigned port, struct stream **out)
{
    struct stream_target targets[STREAM_RACE_MAX] = {0};
    unsigned winner;

    count = count < STREAM_RACE_MAX ? count : STREAM_RACE_MAX;
    for (unsigned i = 0; i < count; i++) {
        set_port(&addresses[i], port);
        targets[i].address = (const struct sockaddr *)&addresses[i].address;
        targets[i].length = addresses[i].length;
    }
    return stream_race(targets, count, step_ms(settings), out, &winner);
}

bool imap_client_open(const struct imap_client_settings *settings, struct arena *arena, struct dns_address *addresses,
                      unsigned count, unsigned port, const char *host, struct imap_client **out, struct slice *why)
{
    struct stream *stream = NULL;
    enum stream_status status = connect_any(settings, addresses, count, port, &stream);
    struct imap_client *client;

    *out = NULL;
    if (status != STREAM_OK) {
        *why = slice_str(arena_printf(arena, "%s while connecting", stream_status_text(status)));
        return false;
    }
    client = calloc(1, sizeof *client);
    if (!client || !(client->host = strdup(host)))
        abort();
    client->settings = *settings;
    client->deadline = settings->deadline;
    client->settings.tls = tls_ref(settings->tls);
    client->stream = stream;
    client->scratch = arena_new(SIZE_MAX);
    if (!begin(client)) {
        *why = slice_str(arena_printf(arena, "%s", client->text));
        imap_client_abort(&client);
        return false;
    }
    *out = client;
    return true;
}

/* ------------------------------------------------------------------ the rest */

void imap_client_until(struct imap_client *client, uint64_t deadline)
{
    client->deadline = deadline;
}

const char *imap_client_text(const struct imap_client *client)
{
    return client->text;
}

const char *imap_client_code(const struct imap_client *client)
{
    return client->code;
}

bool imap_client_can(const struct imap_client *client, enum imap_client_capability capability)
{
    return client->capabilities & capability;
}

void imap_client_quit(struct imap_client **client)
{
    if (!*client)
        return;
    if (!(*client)->broken) {
        struct imap_client_response response;
        uint64_t deadline = clock_steady_ms() + LOGOUT_TIMEOUT_MS;

        imap_client_begin(*client);
        stream_printf((*client)->stream, "LOGOUT\r\n");
        while (read_response(*client, &response, deadline) && response.form != IMAP_CLIENT_TAGGED)
            ;
    }
    imap_client_abort(client);
}

void imap_client_abort(struct imap_client **client)
{
    if (!*client)
        return;
    stream_abort(&(*client)->stream);
    arena_free(&(*client)->scratch);
    tls_unref(&(*client)->settings.tls);
    free((*client)->host);
    free(*client);
    *client = NULL;
}
