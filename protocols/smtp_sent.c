/*
 * smtp_sent: what an account sends while its domain has an outage goes into its mailbox Sent, too.
 *
 * The mail program would file it on the primary, which is away; many cannot, and then there is no record of what was
 * answered.  So it is filed here, in the transaction that accepts the message: sent and filed are one fact.
 *
 * The copy is what the account wrote: with its Bcc, which nobody else gets to see, and with the Date and Message-ID that
 * we have made if it had none; without Return-Path and Received, which say how it came and not what it is.  It is a
 * message of its own, since its bytes are others.
 *
 * Mail programs that do file what they send, before or after, find one copy: storage/sent_copy.c.  An account that has
 * deleted its \Sent (RFC 6154) gets none.
 */
#include "protocols/smtp_sent.h"

#define LOG_MODULE "smtp"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "protocols/mime.h"
#include "protocols/smtp_session.h"
#include "storage/accept.h"
#include "storage/drill.h"
#include "storage/mailbox.h"
#include "storage/name.h"
#include "storage/sent_copy.h"

/* Its value, or that of the field that we have made; {NULL,0}: it cannot be read. */
static struct slice find_message_id(struct arena *arena, struct spool *spool, struct slice missing)
{
    struct slice ours = mime_field(arena, missing, "Message-ID"), part;
    char *buffer;

    if (ours.p)
        return ours;
    buffer = arena_alloc(arena, SENT_COPY_HEADER_MAX);
    if (!spool_read(spool, 0, SENT_COPY_HEADER_MAX, buffer, &part))
        return (struct slice){NULL, 0};
    return mime_field(arena, part, "Message-ID");
}

static struct accept_message make_copy(struct smtp_session *session, struct slice missing, const struct sent_copy *copy)
{
    struct arena *arena = session->transaction_arena;
    const struct smtp_fields *fields = &session->transaction->fields;
    struct accept_recipient filed = {
        .address = session->account.address,
        .mailbox_id = copy->mailbox_id,
        .flags = MAILBOX_SEEN,
    };

    return (struct accept_message){
        .cell = copy->cell,
        .id = id_make(copy->cell),
        .customer_id = session->account.customer_id,
        .account_id = session->account.id,
        .sender = SLICE(""),
        .received_ms = clock_now_ms(),
        .client = session->peer,
        .protocol = "LOCAL",
        .prefix = slice_str(arena_printf(arena, "%.*s%.*s", SLICE_ARG(missing), (int)smtp_fields_bcc(fields).n,
                                         smtp_fields_bcc(fields).p)),
        .spool = session->transaction->spool,
        .recipients = arena_memdup(arena, &filed, sizeof filed),
        .recipient_count = 1,
        .sent = copy,
    };
}

static void add_copy(struct smtp_session *session, struct slice missing, const struct sent_copy *copy,
                     struct accept_message **messages, unsigned *count)
{
    struct accept_message *all = arena_array(session->transaction_arena, *count + 1, sizeof *all);

    memcpy(all, *messages, *count * sizeof *all);
    all[(*count)++] = make_copy(session, missing, copy);
    *messages = all;
}

AWAITS bool smtp_sent_add(struct smtp_session *session, struct slice missing, struct accept_message **messages,
                          unsigned *count)
{
    struct arena *arena = session->transaction_arena;
    struct directory_domain domain;
    struct sent_copy_found found;

    if (session->role != SMTP_ROLE_SUBMISSION || !session->authenticated)
        return true;
    switch (directory_domain(arena, name_address_domain(session->account.address), &domain)) {
    case DB_FOUND: break;
    case DB_NONE: return true;
    case DB_FAILED: return false;
    }
    if (!domain.outage_id)
        domain.outage_id = drill_outage(session->account.id);
    if (!domain.outage_id || domain.kind != DIRECTORY_RELAY)
        return true;
    struct slice message_id = find_message_id(arena, session->transaction->spool, missing);
    if (!message_id.p)
        return true; /* a header without end, or a Message-ID beyond what is looked at */
    struct sent_copy copy = {
        .cell = session->account.cell,
        .account_id = session->account.id,
        .outage_id = domain.outage_id,
        .submitted = true,
    };
    if (sent_copy_find(arena, message_id, &copy, &found) != DB_FOUND)
        return false;
    copy.mailbox_id = found.mailbox_id;
    if (found.known) {
        copy.kind = SENT_COPY_IS_SENT;
        (*messages)[0].sent = arena_memdup(arena, &copy, sizeof copy);
    } else if (found.mailbox_id) {
        add_copy(session, missing, arena_memdup(arena, &copy, sizeof copy), messages, count);
    }
    return true;
}
