/*
 * smtp_client: a connection that is there: the server's replies, what is known of it, QUIT.  How it comes about is in
 * smtp_client_open.c, what happens to a message in smtp_client_send.c.
 *
 * Bounds: a line of a reply may be SMTP_CLIENT_REPLY_LINE_MAX long, a reply SMTP_CLIENT_LINES_MAX lines, and must be complete
 * within its deadline: a server that drips a line a minute holds us no longer than a silent one.
 */
#include "protocols/smtp_client.h"

#include <stdlib.h>

#include "core/clock.h"
#include "protocols/smtp_client_internal.h"

#define QUIT_TIMEOUT_MS 2000

/* ------------------------------------------------------------------ replies */

static bool give_up(struct smtp_client *client, const char *trouble)
{
    client->broken = true;
    client->trouble = trouble;
    return false;
}

static AWAITS bool await(struct smtp_client *client, unsigned timeout_ms, struct smtp_client_features *features)
{
    uint64_t deadline = clock_steady_ms() + timeout_ms, now;

    if (client->broken)
        return false;
    arena_reset(client->scratch);
    smtp_client_reply_init(&client->reply);
    while ((now = clock_steady_ms()) <= deadline) {
        struct slice line;
        enum stream_status status = stream_read_line(client->stream, client->scratch,
                                                     client->line_max ? client->line_max : SMTP_CLIENT_REPLY_LINE_MAX,
                                                     (unsigned)(deadline - now), &line);

        if (status != STREAM_OK)
            return give_up(client, stream_status_text(status));
        client->last_line = line;
        if (features)
            smtp_client_features_line(features, client->reply.lines, line);
        switch (smtp_client_reply_line(&client->reply, line)) {
        case SMTP_CLIENT_MORE: break;
        case SMTP_CLIENT_DONE: return true;
        case SMTP_CLIENT_GARBAGE: return give_up(client, "not an SMTP reply");
        }
    }
    return give_up(client, stream_status_text(STREAM_TIMED_OUT));
}

bool smtp_client_await(struct smtp_client *client, unsigned timeout_ms, struct smtp_client_features *features)
{
    uint64_t begun = clock_steady_ms(), took;
    bool answered = await(client, timeout_ms, features);

    took = clock_steady_ms() - begun;
    client->slowest_ms = took > client->slowest_ms ? took : client->slowest_ms;
    return answered;
}

/* ------------------------------------------------------------------ what is known of it */

bool smtp_client_usable(const struct smtp_client *client)
{
    return !client->broken && (!client->features.mail_max || client->mails < client->features.mail_max);
}

void smtp_client_watch(struct smtp_client *client)
{
    client->slowest_ms = 0;
}

unsigned smtp_client_slowest_ms(const struct smtp_client *client)
{
    return client->slowest_ms < UINT32_MAX ? (unsigned)client->slowest_ms : UINT32_MAX;
}

unsigned smtp_client_mails(const struct smtp_client *client)
{
    return client->mails;
}

const char *smtp_client_host(const struct smtp_client *client)
{
    return client->host;
}

uint64_t smtp_client_size_max(const struct smtp_client *client)
{
    return client->features.size_max;
}

bool smtp_client_verified(const struct smtp_client *client)
{
    return stream_tls_verified(client->stream);
}

enum tls_trouble smtp_client_tls_trouble(const struct smtp_client *client)
{
    return stream_tls_trouble(client->stream);
}

bool smtp_client_tls_failed(const struct smtp_client *client)
{
    return client->tls_failed;
}

const char *smtp_client_peer(const struct smtp_client *client)
{
    return stream_peer(client->stream);
}

const char *smtp_client_local(const struct smtp_client *client)
{
    return stream_local(client->stream);
}

bool smtp_client_dane(const struct smtp_client *client)
{
    return stream_tls_dane(client->stream);
}

const char *smtp_client_tls_version(const struct smtp_client *client)
{
    return stream_tls_version(client->stream);
}

const char *smtp_client_tls_cipher(const struct smtp_client *client)
{
    return stream_tls_cipher(client->stream);
}

const struct smtp_client_announced *smtp_client_announced(const struct smtp_client *client)
{
    return &client->settings.announced;
}

bool smtp_client_encrypted(const struct smtp_client *client)
{
    return stream_is_tls(client->stream);
}

bool smtp_client_named(const struct smtp_client *client)
{
    return !client->settings.doubtful;
}

bool smtp_client_offers(const struct smtp_client *client, unsigned extension)
{
    return client->features.envelope & extension;
}

bool smtp_client_in_clear(const struct smtp_client *client)
{
    return !client->settings.tls;
}

bool smtp_client_is_primary(const struct smtp_client *client)
{
    return client->settings.primary;
}

unsigned smtp_client_port(const struct smtp_client *client)
{
    return client->port;
}

int64_t smtp_client_credential_id(const struct smtp_client *client, int *version)
{
    *version = client->credential_version;
    return client->credential_id;
}

uint64_t smtp_client_source_key(const struct smtp_client *client)
{
    return client->settings.source_key;
}

unsigned smtp_client_tls_level(const struct smtp_client *client)
{
    return client->settings.tls_level;
}

bool smtp_client_used(const struct smtp_client *client)
{
    return client->used || client->mails;
}

/* ------------------------------------------------------------------ the end */

void smtp_client_quit(struct smtp_client **client)
{
    if (!*client)
        return;
    if (!(*client)->broken) {
        stream_printf((*client)->stream, "QUIT\r\n");
        if (smtp_client_await(*client, QUIT_TIMEOUT_MS, NULL)) /* whatever it says */
            stream_close(&(*client)->stream);
    }
    smtp_client_abort(client);
}

void smtp_client_abort(struct smtp_client **client)
{
    if (!*client)
        return;
    stream_abort(&(*client)->stream);
    arena_free(&(*client)->scratch);
    free((*client)->host);
    free(*client);
    *client = NULL;
}
