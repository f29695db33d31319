/*
 * smtp_client_fit: what a server cannot carry is known when its EHLO was answered, and is not begun.
 *
 *   - A message that was submitted as 8BITMIME and does hold 8-bit bytes may not go to a server without 8BITMIME
 *     (RFC 6152 section 3).  Converting it would break its signatures, so it is refused (5.6.3), which tells
 *     the sender; undeclared 8-bit bytes are passed as they came, as every relay does.
 *   - SMTPUTF8 (RFC 6531 3.2) is said if it is needed.  Where it is not offered nothing of that goes: recipients who
 *     need it are refused (5.6.7), or all if the sender's address (5.6.7) or the header (5.6.9) does.  Domains:
 *     U-labels with it (3.7), else A-labels.
 *   - DELIVERBY (RFC 2852): a message that is to be returned when it is late goes only to a server that knows how.
 *   - SIZE (RFC 1870): a message over the server's limit is refused here, without sending it first.
 *   - RCPTMAX and RCPTDOMAINMAX (RFC 9422): how many recipients it takes in one transaction.
 *
 * Everybody who is decided about here is refused: the next hop will not have learnt it by tomorrow.
 */
#include <stdlib.h>
#include <string.h>

#include "core/idn.h"
#include "protocols/smtp_client_internal.h"

bool smtp_client_is_open(const struct smtp_client_recipient *recipient)
{
    return !recipient->reply.p;
}

void smtp_client_decide(struct smtp_client_recipient *recipient, enum smtp_client_outcome outcome, struct slice reply,
                        struct slice status)
{
    recipient->outcome = outcome;
    recipient->reply = reply;
    recipient->status = status;
}

void smtp_client_decide_all(struct smtp_client_message *message, enum smtp_client_outcome outcome, struct slice reply,
                            struct slice status)
{
    for (unsigned i = 0; i < message->count; i++)
        if (smtp_client_is_open(&message->recipients[i]))
            smtp_client_decide(&message->recipients[i], outcome, reply, status);
}

static bool has_eight_bit(struct slice piece)
{
    for (size_t i = 0; i < piece.n; i++)
        if ((unsigned char)piece.p[i] > 0x7f)
            return true;
    return false;
}

static bool content_is_eight_bit(const struct smtp_client_message *m)
{
    char *buffer = malloc(SMTP_CLIENT_PIECE);
    bool found = false, failed = false;
    struct slice piece;

    if (!buffer)
        abort();
    for (size_t at = 0; !found && (piece = smtp_client_content_at(m, at, buffer, &failed)).n && !failed; at += piece.n)
        found = has_eight_bit(piece);
    free(buffer);
    return found;
}

/* An address or a header that only SMTPUTF8 can carry, and no SMTPUTF8: it is not stripped.  False: all is decided. */
static bool may_go_in_ascii(const struct smtp_client *client, struct arena *arena, struct smtp_client_message *m)
{
    struct slice reply =
        slice_str(arena_printf(arena, "%s does not offer SMTPUTF8, which this message needs", client->host));
    bool sender = !idn_is_ascii(m->sender);
    unsigned left = 0;

    if (sender || m->envelope->utf8) {
        smtp_client_decide_all(m, SMTP_CLIENT_REFUSED, reply, sender ? SLICE("5.6.7") : SLICE("5.6.9"));
        return false;
    }
    for (unsigned i = 0; i < m->count; i++) {
        m->recipients[i].withheld = !idn_is_ascii(m->recipients[i].address);
        if (m->recipients[i].withheld)
            smtp_client_decide(&m->recipients[i], SMTP_CLIENT_REFUSED, reply, SLICE("5.6.7"));
        left += !m->recipients[i].withheld;
    }
    return left > 0;
}

static bool needs_utf8(const struct smtp_client_message *m)
{
    bool needed = m->envelope->utf8 || !idn_is_ascii(m->sender);

    for (unsigned i = 0; i < m->count && !needed; i++)
        needed = !idn_is_ascii(m->recipients[i].address);
    return needed;
}

/* RFC 2852 4.1.4.2: what may be too late is not given to a server that would not know.  NULL: it may go. */
static const char *too_slow(const struct smtp_client *client, struct arena *arena, const struct envelope_mail *envelope)
{
    const struct smtp_client_features *features = &client->features;

    if (envelope->by != ENVELOPE_BY_RETURN)
        return NULL;
    if (!(features->envelope & ENVELOPE_DELIVERBY))
        return arena_printf(arena, "%s does not offer DELIVERBY, which this message needs", client->host);
    if (envelope->by_seconds < features->by_min)
        return arena_printf(arena, "%s takes messages with at least %lld seconds left; this one has %lld", client->host,
                            (long long)features->by_min, (long long)envelope->by_seconds);
    return NULL;
}

bool smtp_client_fits(const struct smtp_client *client, struct arena *arena, struct smtp_client_message *m, size_t size,
                      bool *utf8)
{
    const struct smtp_client_features *features = &client->features;
    const char *slow = too_slow(client, arena, m->envelope);

    *utf8 = needs_utf8(m) && features->envelope & ENVELOPE_SMTPUTF8;
    if (slow) {
        smtp_client_decide_all(m, SMTP_CLIENT_REFUSED, slice_str(slow), SLICE("5.4.7"));
        return false;
    }
    if (features->size_max && size > features->size_max) {
        const char *too_large = arena_printf(arena, "%s takes messages up to %llu bytes; this one has %zu",
                                             client->host, (unsigned long long)features->size_max, size);
        smtp_client_decide_all(m, SMTP_CLIENT_REFUSED, slice_str(too_large), SLICE("5.3.4"));
        return false;
    }
    if (m->eight_bit && !features->eight_bit && content_is_eight_bit(m)) {
        smtp_client_decide_all(
            m, SMTP_CLIENT_REFUSED,
            slice_str(arena_printf(arena, "%s does not offer 8BITMIME, which this message needs", client->host)),
            SLICE("5.6.3"));
        return false;
    }
    return *utf8 || !needs_utf8(m) || may_go_in_ascii(client, arena, m);
}

/* ------------------------------------------------------------------ how many at a time */

static struct slice domain_of(struct slice address)
{
    const char *at = memrchr(address.p, '@', address.n);

    return at ? slice_skip(address, (size_t)(at + 1 - address.p)) : (struct slice){NULL, 0};
}

unsigned smtp_client_portion(const struct smtp_client *client, const struct smtp_client_recipient *recipients,
                             unsigned count)
{
    const struct smtp_client_features *features = &client->features;
    unsigned most = features->recipients_max && features->recipients_max < count ? features->recipients_max : count;
    unsigned domains = 0;

    if (!features->domains_max)
        return most;
    for (unsigned i = 0; i < most; i++) {
        struct slice domain = domain_of(recipients[i].address);
        unsigned before = 0;

        while (before < i && !slice_equal_nocase(domain_of(recipients[before].address), domain))
            before++;
        if (before == i && ++domains > features->domains_max)
            return i;
    }
    return most;
}
