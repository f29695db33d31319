/*
 * smtp_client_auth: signing in at a next hop (RFC 4954).
 *
 *     AUTH mechanism [SP initial-response]      334 SP challenge ... 235; "*" gives up
 *
 * Never in clear: whatever the mechanism, there must be TLS, and a certificate for the host's name unless the
 * credential says that encryption will do.  With SCRAM a listener could still guess at leisure, and whoever stands
 * between would get our mail.
 *
 * What goes wrong here is never the message's fault: it waits, on another host or for the administrator.  5xx means
 * that the credential is wrong, which is noted for the caller; 4xx (454) and all else may pass by itself.
 *
 * Section 4: an initial response goes on the line of the command only if that stays within 512 octets, "=" stands for
 * an empty one.  Lines of replies may have 12,288 octets here; a challenge of any mechanism that we know is far shorter
 * (sasl_hop_challenge.c).  235 counts only when the mechanism is over: with SCRAM a server that says yes without having
 * proved that it knows the password is not ours.
 *
 * A server may say back what it was sent ("unknown command: AUTH PLAIN ..."), and replies go into logs and events: one
 * in which some of it is found is not passed on.
 *
 * Section 5: MAIL then says AUTH=<>, as none of our senders has shown this server who he is.
 */
#include "protocols/smtp_client_auth.h"

#include <string.h>

#include "core/secret.h"
#include "protocols/sasl_hop.h"
#include "protocols/sasl_hop_challenge.h"

#define COMMAND_MAX 512 /* RFC 5321 4.5.3.1.4, with the line's end */
#define LINE_MAX_AUTH 12288
#define STEPS_MAX 8
#define TELLING 8 /* so many characters of a secret in a reply are not there by chance */

struct dialogue {
    struct smtp_client *client;
    struct arena *arena;
    struct sasl_hop *hop;
    struct slice *why;
    struct slice sent[STEPS_MAX + 2]; /* as it was on the wire */
    unsigned sent_count;
};

static bool fail(struct slice *why, const char *words)
{
    *why = slice_str(words);
    return false;
}

/* Some of the secret, or all of a short one. */
static bool holds(const struct smtp_client_reply *reply, struct slice secret)
{
    size_t n = secret.n < TELLING ? secret.n : TELLING;

    for (size_t i = 0; n && i + n <= secret.n; i++)
        if (memmem(reply->text, reply->text_size, secret.p + i, n))
            return true;
    return false;
}

/* In the server's words, or in ours if there are none, or if they say back what we have said. */
static bool fail_told(struct dialogue *d)
{
    const struct smtp_client_reply *reply = &d->client->reply;
    bool back = holds(reply, d->client->settings.credential->password);

    if (d->client->broken)
        return fail(d->why, arena_printf(d->arena, "%s while signing in", d->client->trouble));
    for (unsigned i = 0; i < d->sent_count; i++)
        back |= holds(reply, d->sent[i]);
    return fail(d->why, back ? arena_printf(d->arena, "signing in: %u, and what we had sent", reply->code)
                             : arena_printf(d->arena, "signing in: %s", reply->text));
}

static void say(struct dialogue *d, const char *command, struct slice response)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice text = secret_base64(arena, response);

    d->sent[d->sent_count++] = secret_slice(d->arena, text);
    stream_printf(d->client->stream, "%s%.*s\r\n", command, SLICE_ARG(text));
    secret_wipe((char *)text.p, text.n);
    arena_free(&arena);
}

static AWAITS bool cancel(struct dialogue *d, const char *words)
{
    stream_printf(d->client->stream, "*\r\n");
    (void)!smtp_client_await(d->client, d->client->settings.reply_timeout_ms, NULL); /* 501 */
    return fail(d->why, words);
}

/* 334: until there is another reply.  response: what did not fit on the line of the command, or {NULL,0}. */
static AWAITS bool answer_challenges(struct dialogue *d, struct slice response)
{
    struct smtp_client *client = d->client;

    for (unsigned steps = 0; client->reply.code == 334; steps++) {
        struct slice challenge;

        if (steps == STEPS_MAX || client->reply.lines != 1 ||
            !sasl_hop_challenge_decode(d->arena, slice_skip(client->last_line, 4), &challenge))
            return cancel(d, "signing in: its challenge is not one");
        if (!response.p || steps || challenge.n) {
            if (!sasl_hop_goes_on(d->hop))
                return cancel(d, "signing in: it asks on when all is said");
            if (!sasl_hop_step(d->hop, d->arena, challenge, &response))
                return cancel(d, "signing in: its challenge is not one, or it does not know the password");
        }
        say(d, "", response);
        response = (struct slice){NULL, 0};
        if (!smtp_client_await(client, client->settings.reply_timeout_ms, NULL))
            return fail_told(d);
    }
    return true;
}

static AWAITS bool begin(struct dialogue *d, const char *mechanism)
{
    const char *command = arena_printf(d->arena, "AUTH %s", mechanism);
    struct slice response = {NULL, 0};
    bool fits;

    if (!d->hop || !sasl_hop_begin(d->hop, d->arena, &response))
        return fail(d->why, arena_printf(d->arena, "Cyrus SASL cannot begin with %s", mechanism));
    fits = response.p && strlen(command) + 1 + (response.n + 2) / 3 * 4 + 2 <= COMMAND_MAX;
    if (fits && response.n)
        say(d, arena_printf(d->arena, "%s ", command), response);
    else
        stream_printf(d->client->stream, "%s%s\r\n", command, fits ? " =" : "");
    return smtp_client_await(d->client, d->client->settings.reply_timeout_ms, NULL)
               ? answer_challenges(d, fits ? (struct slice){NULL, 0} : response)
               : fail_told(d);
}

static AWAITS bool converse(struct smtp_client *client, struct arena *arena, unsigned mechanism, struct slice *why)
{
    struct smtp_client_credential *credential = client->settings.credential;
    struct dialogue d = {.client = client, .arena = arena, .why = why};
    bool good;

    d.hop = sasl_hop_new(mechanism, client->host, credential->user, credential->password);
    good = begin(&d, sasl_hop_name(mechanism));
    if (good && client->reply.code != 235) {
        credential->refused = client->reply.code / 100 == 5;
        credential->code = client->reply.code;
        good = fail_told(&d);
    } else if (good && !sasl_hop_over(d.hop)) {
        good = fail(why, "signing in: it said yes without proving that it knows the password");
    }
    sasl_hop_free(&d.hop);
    return good;
}

static bool is_protected(const struct smtp_client *client)
{
    return client->settings.credential->verify ? stream_tls_verified(client->stream) || stream_tls_dane(client->stream)
                                               : stream_is_tls(client->stream);
}

bool smtp_client_authenticate(struct smtp_client *client, struct arena *arena, struct slice *why)
{
    const struct smtp_client_credential *credential = client->settings.credential;
    unsigned mechanism;
    bool good;

    if (!is_protected(client))
        return fail(why, stream_is_tls(client->stream) ? "its credential is not used without a certificate for its name"
                                                       : "its credential is not used without TLS");
    if (!credential->mechanisms) /* a certificate, which it was shown if it asked */
        return true;
    if (!client->features.auth)
        return fail(why, "it does not offer AUTH, or no mechanism that is known, and there is a credential for it");
    mechanism = sasl_hop_best(client->features.auth & credential->mechanisms);
    if (!mechanism)
        return fail(why, "it does not offer the mechanism of its credential");
    client->line_max = LINE_MAX_AUTH;
    good = converse(client, arena, mechanism, why);
    client->line_max = 0;
    client->signed_in = good;
    return good;
}

/*
 * 530, 534, 535, 538 (section 6): it wants us to sign in, or otherwise.  Of a host that was configured that is about a
 * setting; mail does not bounce for it.
 */
enum retry_verdict smtp_client_verdict(const struct smtp_client *client, enum retry_stage stage)
{
    unsigned code = client->reply.code;

    if (client->settings.configured && (code == 530 || code == 534 || code == 535 || code == 538))
        return RETRY_VERDICT_LATER;
    return retry_classify(stage, code, client->reply.enhanced);
}
