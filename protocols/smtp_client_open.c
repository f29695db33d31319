/*
 * smtp_client_open: how a connection to a next hop comes about: connecting, greeting, EHLO, TLS, signing in.
 *
 * A normal run: connect, 220, EHLO, STARTTLS, handshake, EHLO again (RFC 3207 4.2: what was offered in clear is
 * forgotten).  The connection is then kept by whoever asked for it, for as many messages as there are.
 *
 * TLS without verification is opportunistic (RFC 7435): it protects against listening, not against a forger, so
 * a server whose TLS does not work is sent to in clear, over a new connection; refusing would only lose mail.  With
 * verify_tls there is no mail without it.
 *
 * HELO is said when EHLO is refused (RFC 5321 3.2); a server that answers 421 to EHLO is away.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "smtp-client"
#include "core/log.h"
#include "core/stream_race.h"
#include "protocols/smtp_client_auth.h"
#include "protocols/smtp_client_internal.h"
#include "relay/retry.h"

#define SCRATCH_MAX (SMTP_CLIENT_REPLY_LINE_MAX * SMTP_CLIENT_LINES_MAX)

/* ------------------------------------------------------------------ the dialogue */

enum opening { OPENED, OPENING_FAILED, OPENING_TLS_FAILED };

static bool accepted(const struct smtp_client *client, enum retry_stage stage)
{
    return retry_classify(stage, client->reply.code, client->reply.enhanced) == RETRY_VERDICT_ACCEPTED;
}

/* The words for what has just failed: the server's, if it said something. */
static struct slice told(struct smtp_client *client, struct arena *arena, const char *doing)
{
    if (client->broken)
        return slice_str(arena_printf(arena, "%s while %s", client->trouble, doing));
    return arena_slice(arena, slice_of(client->reply.text, client->reply.text_size));
}

static AWAITS bool say_hello(struct smtp_client *client)
{
    client->features = (struct smtp_client_features){0};
    stream_printf(client->stream, "EHLO %s\r\n", client->settings.hostname);
    if (!smtp_client_await(client, client->settings.reply_timeout_ms, &client->features))
        return false;
    /* who offers it in clear has not understood it, or is not who he says (RFC 8689) */
    if (!stream_is_tls(client->stream))
        client->features.envelope &= ~(unsigned)ENVELOPE_REQUIRETLS;
    if (client->reply.code / 100 != 5)
        return accepted(client, RETRY_STAGE_HELLO);
    client->features = (struct smtp_client_features){0};
    stream_printf(client->stream, "HELO %s\r\n", client->settings.hostname);
    return smtp_client_await(client, client->settings.reply_timeout_ms, NULL) && accepted(client, RETRY_STAGE_HELLO);
}

static AWAITS enum opening turn_to_tls(struct smtp_client *client, struct arena *arena, struct slice *why)
{
    const struct smtp_client_settings *settings = &client->settings;
    enum stream_status status;

    if (!client->features.starttls) {
        *why = SLICE("TLS is required, and the server does not offer it");
        return settings->verify_tls ? OPENING_FAILED : OPENED;
    }
    stream_printf(client->stream, "STARTTLS\r\n");
    if (!smtp_client_await(client, settings->reply_timeout_ms, NULL)) {
        *why = told(client, arena, "asking for TLS");
        return OPENING_TLS_FAILED;
    }
    if (client->reply.code != 220) {
        *why = told(client, arena, "");
        client->tls_failed = true;
        return settings->verify_tls || client->reply.code == 421 ? OPENING_FAILED : OPENED;
    }
    if (settings->credential)
        stream_show_identity(client->stream, settings->credential->identity);
    status = settings->dane
                 ? stream_connect_dane(client->stream, settings->tls, settings->dane, settings->reply_timeout_ms)
                 : stream_connect_tls(client->stream, settings->tls, client->host, settings->reply_timeout_ms);
    if (status != STREAM_OK) {
        *why = slice_str(arena_printf(arena, "TLS handshake failed: %s", stream_status_text(status)));
        return OPENING_TLS_FAILED;
    }
    if (!say_hello(client)) {
        *why = told(client, arena, "saying EHLO under TLS");
        return OPENING_FAILED;
    }
    return OPENED;
}

static bool is_to_sign_in(const struct smtp_client *client)
{
    const struct smtp_client_settings *settings = &client->settings;

    return settings->credential && (!settings->may_sign_in || settings->may_sign_in(client, settings->may_sign_in_arg));
}

static AWAITS enum opening begin(struct smtp_client *client, struct arena *arena, bool tls, struct slice *why)
{
    enum opening opening;

    if (!smtp_client_await(client, client->settings.greeting_timeout_ms, NULL) ||
        !accepted(client, RETRY_STAGE_GREETING)) {
        *why = told(client, arena, "waiting for the greeting");
        return OPENING_FAILED;
    }
    if (!say_hello(client)) {
        *why = told(client, arena, "saying EHLO");
        return OPENING_FAILED;
    }
    if (tls && (opening = turn_to_tls(client, arena, why)) != OPENED)
        return opening;
    if (!is_to_sign_in(client))
        return OPENED;
    client->credential_id = client->settings.credential->id;
    client->credential_version = client->settings.credential->version;
    return smtp_client_authenticate(client, arena, why) ? OPENED : OPENING_FAILED;
}

static struct smtp_client *client_new(const struct smtp_client_settings *settings, struct stream *stream,
                                      const char *host)
{
    struct smtp_client *client = calloc(1, sizeof *client);

    if (!client || !(client->host = strdup(host)))
        abort();
    client->settings = *settings;
    client->stream = stream;
    client->scratch = arena_new(SCRATCH_MAX);
    return client;
}

/* It is not to be used: says good-bye if that makes sense. */
static AWAITS void give_back(struct smtp_client *client)
{
    if (client->broken)
        smtp_client_abort(&client);
    else
        smtp_client_quit(&client);
}

/* Greeting, EHLO, TLS over a connection that is there. */
static AWAITS enum opening open_stream(const struct smtp_client_settings *settings, struct arena *arena,
                                       struct stream *stream, const char *host, bool tls, struct smtp_client **out,
                                       struct slice *why)
{
    struct smtp_client *client = client_new(settings, stream, host);
    enum opening opening = begin(client, arena, tls, why);

    client->settings.credential = NULL; /* the caller's memory, as are these */
    client->settings.dane = NULL;
    client->settings.source4 = client->settings.source6 = NULL;
    if (opening == OPENED)
        *out = client;
    else
        give_back(client);
    return opening;
}

/* ------------------------------------------------------------------ connecting */

static void set_port(struct dns_address *address, unsigned port)
{
    if (address->address.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->address)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)&address->address)->sin_port = htons((uint16_t)port);
}

/* Those that failed first, then the one that is connected, then the rest; each as it was.  How many are the first two. */
static unsigned put_tried_first(struct arena *arena, struct dns_address *addresses, unsigned count,
                                const struct stream_target *targets, unsigned winner)
{
    struct dns_address *all = arena_memdup(arena, addresses, count * sizeof *all);
    unsigned at = 0, tried;

    for (unsigned i = 0; i < count; i++)
        if (targets[i].failed)
            addresses[at++] = all[i];
    if (winner < count)
        addresses[at++] = all[winner];
    tried = at;
    for (unsigned i = 0; i < count; i++)
        if (!targets[i].failed && i != winner)
            addresses[at++] = all[i];
    return tried;
}

static AWAITS enum stream_status connect_any(const struct smtp_client_settings *settings, struct arena *arena,
                                             struct dns_address *addresses, unsigned count, unsigned *tried,
                                             struct stream **stream)
{
    struct stream_target targets[STREAM_RACE_MAX] = {0};
    enum stream_status status;
    unsigned winner = count;

    for (unsigned i = 0; i < count; i++) {
        const struct dns_address *source =
            addresses[i].address.ss_family == AF_INET6 ? settings->source6 : settings->source4;

        targets[i].address = (const struct sockaddr *)&addresses[i].address;
        targets[i].length = addresses[i].length;
        targets[i].source = source ? (const struct sockaddr *)&source->address : NULL;
        targets[i].source_length = source ? source->length : 0;
    }
    status = stream_race(targets, count, settings->connect_timeout_ms, stream, &winner);
    *tried = put_tried_first(arena, addresses, count, targets, status == STREAM_OK ? winner : count);
    return status;
}

/* ------------------------------------------------------------------ the ways in */

bool smtp_client_open(const struct smtp_client_settings *settings, struct arena *arena,
                      struct smtp_client_target *target, struct smtp_client **out, struct slice *why)
{
    unsigned count = target->count < STREAM_RACE_MAX ? target->count : STREAM_RACE_MAX;
    const char *host = target->host;
    bool tls = settings->tls != NULL;
    struct stream *stream = NULL;
    enum stream_status status;
    enum opening opening;
    unsigned again;

    *out = NULL;
    for (unsigned i = 0; i < count; i++)
        set_port(&target->addresses[i], target->port);
    status = connect_any(settings, arena, target->addresses, count, &target->tried, &stream);
    opening = status == STREAM_OK ? open_stream(settings, arena, stream, host, tls, out, why) : OPENING_FAILED;
    if (opening == OPENING_TLS_FAILED && !settings->verify_tls && !settings->credential) {
        log_info("TLS failed, sending in clear", log_str("host", host), log_slice("reason", *why));
        status = connect_any(settings, arena, &target->addresses[target->tried - 1], 1, &again, &stream);
        opening = status == STREAM_OK ? open_stream(settings, arena, stream, host, false, out, why) : OPENING_FAILED;
        if (*out)
            (*out)->tls_failed = true;
    }
    if (status != STREAM_OK)
        *why = slice_str(arena_printf(arena, "%s while connecting", stream_status_text(status)));
    if (opening == OPENED)
        (*out)->port = target->port;
    return opening == OPENED;
}

bool smtp_client_adopt(const struct smtp_client_settings *settings, struct arena *arena, struct stream **stream,
                       const char *host, struct smtp_client **out, struct slice *why)
{
    struct smtp_client *client = client_new(settings, *stream, host);

    *out = NULL;
    *stream = NULL;
    if (begin(client, arena, false, why) != OPENED) {
        give_back(client);
        return false;
    }
    *out = client;
    return true;
}
