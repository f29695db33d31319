/*
 * sasl_mechanism: which mechanisms a client is offered, and may choose.
 *
 * One table for both, so that what is listed is what works.  The order is that of strength, as we see it; clients
 * choose by an order of their own.
 *
 * The -PLUS forms are a setting: a client that leaves the choice to libgsasl (mutt, as Debian 12 has it) takes the
 * strongest that is listed, cannot bind, and gives up.  SCRAM-SHA-1 is offered where its keys are made
 * (storage/credential.h).
 */
#include <stdio.h>

#include "core/stream.h"
#include "protocols/oauth.h"
#include "protocols/sasl_internal.h"
#include "storage/credential.h"

enum need {
    NEEDS_NOTHING,
    NEEDS_TLS, /* the password itself is sent */
    NEEDS_BINDING,
    NEEDS_CERTIFICATE,
    NEEDS_OAUTH, /* and TLS: the token itself is sent */
};

static const struct {
    const char *name;
    enum need need;
    bool sha1;
} mechanisms[] = {
    {"EXTERNAL", NEEDS_CERTIFICATE, false},
    {"SCRAM-SHA-256-PLUS", NEEDS_BINDING, false},
    {"SCRAM-SHA-1-PLUS", NEEDS_BINDING, true},
    {"SCRAM-SHA-256", NEEDS_NOTHING, false},
    {"SCRAM-SHA-1", NEEDS_NOTHING, true},
    {"OAUTHBEARER", NEEDS_OAUTH, false},
    {"XOAUTH2", NEEDS_OAUTH, false},
    {"PLAIN", NEEDS_TLS, false},
    {"LOGIN", NEEDS_TLS, false},
};
#define MECHANISMS (sizeof mechanisms / sizeof *mechanisms)

static bool binds_channels;

void sasl_bind_channels(bool on)
{
    binds_channels = on;
}

static bool offered(unsigned number, const struct sasl_client *client)
{
    if (mechanisms[number].sha1 && !credential_wants_sha1())
        return false;
    switch (mechanisms[number].need) {
    case NEEDS_NOTHING: return true;
    case NEEDS_TLS: return client->tls;
    case NEEDS_BINDING: return client->tls && client->binding;
    case NEEDS_CERTIFICATE: return client->tls && client->certificate;
    case NEEDS_OAUTH: return client->tls && oauth_offered();
    }
    return false;
}

const char *sasl_mechanisms(const struct sasl_client *client)
{
    static char text[160];
    size_t n = 0;

    for (unsigned i = 0; i < MECHANISMS; i++)
        if (offered(i, client) && n < sizeof text)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", mechanisms[i].name);
    return text;
}

bool sasl_mechanism_offered(const struct sasl_client *client, struct slice name)
{
    for (unsigned i = 0; i < MECHANISMS; i++)
        if (slice_equal_nocase(slice_str(mechanisms[i].name), name))
            return offered(i, client);
    return false;
}

void sasl_describe_client(struct sasl_client *client, struct arena *arena, const char *service, const char *peer,
                          const struct stream *stream)
{
    struct tls_peer *certificate;
    struct tls_binding *binding;

    *client = (struct sasl_client){.service = service, .peer = peer, .tls = stream && stream_is_tls(stream)};
    if (!client->tls)
        return;
    certificate = arena_alloc(arena, sizeof *certificate);
    if (stream_tls_peer(stream, arena, certificate) && certificate->verified)
        client->certificate = certificate;
    binding = arena_alloc(arena, sizeof *binding);
    if (binds_channels && stream_tls_binding(stream, binding))
        client->binding = binding;
}
