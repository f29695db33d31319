/*
 * smtp_client_ask: asks a next hop whether it would take mail for an address, and sends none.
 *
 *     RSET            if a question was asked over the connection before
 *     MAIL FROM:<>    or a sender
 *     RCPT TO:<x>     the question
 *
 * written at once where PIPELINING (RFC 2920) is offered.  The transaction stays open: the next question, or QUIT,
 * ends it.
 *
 * An address that is not ASCII is asked for with SMTPUTF8.  Where that is not offered the answer is known: what would
 * be sent there cannot be (RFC 6531 3.2, and 3.5 would rather have it said at RCPT).
 *
 * VRFY would be the command for it (RFC 5321 3.5.1), but hardly a server answers it with more than 252.
 */
#include "core/idn.h"
#include "protocols/smtp_client_internal.h"

enum { STEP_RESET, STEP_MAIL, STEP_RCPT, STEPS };

static void write_step(struct smtp_client *client, unsigned step, struct slice sender, struct slice address)
{
    switch (step) {
    case STEP_RESET: stream_printf(client->stream, "RSET\r\n"); break;
    case STEP_MAIL:
        stream_printf(client->stream, "MAIL FROM:<%.*s>%s%s\r\n", SLICE_ARG(sender),
                      client->signed_in ? " AUTH=<>" : "", idn_is_ascii(address) ? "" : " SMTPUTF8");
        break;
    default: stream_printf(client->stream, "RCPT TO:<%.*s>\r\n", SLICE_ARG(address)); break;
    }
}

static bool lose(struct smtp_client *client, const char *trouble)
{
    client->broken = true;
    client->trouble = trouble;
    return false;
}

bool smtp_client_ask(struct smtp_client *client, struct arena *arena, struct slice sender, struct slice address,
                     struct smtp_client_answer *out)
{
    unsigned first = client->dirty ? STEP_RESET : STEP_MAIL;
    bool refused = false;

    if (!idn_is_ascii(address)) {
        if (!smtp_client_offers(client, ENVELOPE_SMTPUTF8)) {
            if (smtp_client_used(client)) /* it said so a while ago; a new connection tells what it offers now */
                return false;
            client->used = true;
            *out = (struct smtp_client_answer){true, 550, SLICE("5.6.7"), SLICE("550 5.6.7 SMTPUTF8 is not offered")};
            return true;
        }
        address = idn_address_unicode(arena, address);
    }
    client->dirty = true;
    client->mails++;
    for (unsigned step = first; client->features.pipelining && step < STEPS; step++)
        write_step(client, step, sender, address);
    for (unsigned step = first; step < STEPS; step++) {
        if (!client->features.pipelining)
            write_step(client, step, sender, address);
        if (!smtp_client_await(client, client->settings.reply_timeout_ms, NULL))
            return false;
        if (client->reply.code == 421)
            return lose(client, "the server closed the session");
        if (refused) /* MAIL was; this is the 503 that follows */
            continue;
        *out = (struct smtp_client_answer){.to_recipient = step == STEP_RCPT, .code = client->reply.code};
        out->enhanced = arena_slice(arena, client->reply.enhanced);
        out->text = arena_slice(arena, slice_of(client->reply.text, client->reply.text_size));
        refused = step == STEP_MAIL && client->reply.code / 100 != 2;
        if (refused && !client->features.pipelining)
            break;
    }
    return true;
}

bool smtp_client_noop(struct smtp_client *client, struct arena *arena, struct smtp_client_answer *out)
{
    stream_printf(client->stream, "NOOP\r\n");
    if (!smtp_client_await(client, client->settings.reply_timeout_ms, NULL))
        return false;
    if (client->reply.code == 421)
        return lose(client, "the server closed the session");
    *out = (struct smtp_client_answer){.code = client->reply.code};
    out->enhanced = arena_slice(arena, client->reply.enhanced);
    out->text = arena_slice(arena, slice_of(client->reply.text, client->reply.text_size));
    return true;
}
