/*
 * pop3_commands: which command is allowed when, and those that need nothing but the list made at login.
 *
 * Message numbers stay what they are through the session; a message marked by DELE is not there for any command but
 * RSET (RFC 1939 section 5).  LIST and UIDL without a number answer in helpings (see pop3_session.c).
 *
 * A unique-id is UIDVALIDITY.UID: unique for ever in a mailbox, the same in each session, at most 41 characters (RFC
 * 1939 section 7 allows 70).
 */
#include "protocols/pop3_session.h"

#include <inttypes.h>

#define HELPING 1000 /* lines */

/* ------------------------------------------------------------------ both states */

/* RFC 2449 section 5.  What AUTHORIZATION announces is announced in both; STLS and USER only where they work. */
static void capa(struct pop3_session *session)
{
    bool tls = stream_is_tls(session->common.stream);
    struct sasl_client client;
    const char *mechanisms;

    sasl_describe_client(&client, session->command, "pop3", session->common.peer, session->common.stream);
    mechanisms = sasl_mechanisms(&client);
    pop3_ok(session, "Capability list follows");
    stream_write(session->common.stream, SLICE("TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"));
    if (tls)
        stream_write(session->common.stream, SLICE("USER\r\n"));
    else if (session->settings->tls)
        stream_write(session->common.stream, SLICE("STLS\r\n"));
    if (mechanisms[0])
        stream_printf(session->common.stream, "SASL %s\r\n", mechanisms);
    stream_write(session->common.stream, SLICE("IMPLEMENTATION Posthouse\r\n.\r\n"));
}

static void quit(struct pop3_session *session)
{
    if (session->state == POP3_TRANSACTION) {
        session_run(&session->common, pop3_maildrop_update);
        return;
    }
    pop3_ok(session, "Bye");
    session->common.closing = true;
}

/* ------------------------------------------------------------------ AUTHORIZATION */

/* RFC 2595 section 4.  What was said in clear is forgotten; the stream drops what was sent along. */
static void stls(struct pop3_session *session)
{
    if (stream_is_tls(session->common.stream)) {
        pop3_fault(session, "TLS is active already");
        return;
    }
    if (!session->settings->tls) {
        pop3_fault(session, "TLS is not available");
        return;
    }
    session->user = (struct slice){0};
    pop3_ok(session, "Begin TLS");
    stream_start_tls(session->common.stream, session->settings->tls);
}

/* ------------------------------------------------------------------ TRANSACTION */

static void count(const struct pop3_session *session, uint32_t *messages, uint64_t *size)
{
    *messages = 0;
    *size = 0;
    for (uint32_t i = 0; i < session->item_count; i++)
        if (!session->items[i].deleted) {
            (*messages)++;
            *size += session->items[i].size;
        }
}

static void stat_command(struct pop3_session *session)
{
    uint32_t messages;
    uint64_t size;

    count(session, &messages, &size);
    pop3_ok(session, "%" PRIu32 " %" PRIu64, messages, size);
}

static void write_listing(struct pop3_session *session, uint32_t i)
{
    if (session->line.verb == POP3_UIDL)
        stream_printf(session->common.stream, "%" PRIu32 " %" PRId64 ".%" PRId64 "\r\n", i + 1, session->uidvalidity,
                      session->items[i].uid);
    else
        stream_printf(session->common.stream, "%" PRIu32 " %" PRIu64 "\r\n", i + 1, session->items[i].size);
}

static void produce_listing(void *arg)
{
    struct pop3_session *session = arg;

    for (unsigned n = 0; n < HELPING && session->produce_next < session->item_count; session->produce_next++)
        if (!session->items[session->produce_next].deleted) {
            write_listing(session, session->produce_next);
            n++;
        }
    if (session->produce_next < session->item_count)
        return;
    stream_write(session->common.stream, SLICE(".\r\n"));
    session->common.produce = NULL;
}

static void list(struct pop3_session *session)
{
    uint32_t messages;
    uint64_t size;

    if (session->line.number > 0) {
        struct pop3_item *item = pop3_maildrop_item(session);

        if (!item)
            return;
        stream_write(session->common.stream, SLICE("+OK "));
        write_listing(session, (uint32_t)(item - session->items));
        return;
    }
    count(session, &messages, &size);
    pop3_ok(session, "%" PRIu32 " messages (%" PRIu64 " octets)", messages, size);
    session->produce_next = 0;
    session->common.produce = produce_listing;
}

static void dele(struct pop3_session *session)
{
    struct pop3_item *item = pop3_maildrop_item(session);

    if (!item)
        return;
    item->deleted = true;
    pop3_ok(session, "Message %" PRIu32 " deleted", session->line.number);
}

static void rset(struct pop3_session *session)
{
    for (uint32_t i = 0; i < session->item_count; i++)
        session->items[i].deleted = false;
    pop3_ok(session, "Nothing is deleted");
}

static void noop(struct pop3_session *session)
{
    pop3_ok(session, "Nothing done");
}

/* ------------------------------------------------------------------ the table */

enum {
    AUTHORIZATION = 1 << POP3_AUTHORIZATION,
    TRANSACTION = 1 << POP3_TRANSACTION,
};

static const struct {
    void (*run)(struct pop3_session *session);
    unsigned states;
} commands[POP3_VERBS] = {
    [POP3_AUTH] = {pop3_command_auth, AUTHORIZATION},
    [POP3_CAPA] = {capa, AUTHORIZATION | TRANSACTION},
    [POP3_DELE] = {dele, TRANSACTION},
    [POP3_LIST] = {list, TRANSACTION},
    [POP3_NOOP] = {noop, TRANSACTION},
    [POP3_PASS] = {pop3_command_pass, AUTHORIZATION},
    [POP3_QUIT] = {quit, AUTHORIZATION | TRANSACTION},
    [POP3_RETR] = {pop3_command_retrieve, TRANSACTION},
    [POP3_RSET] = {rset, TRANSACTION},
    [POP3_STAT] = {stat_command, TRANSACTION},
    [POP3_STLS] = {stls, AUTHORIZATION},
    [POP3_TOP] = {pop3_command_retrieve, TRANSACTION},
    [POP3_UIDL] = {list, TRANSACTION},
    [POP3_USER] = {pop3_command_user, AUTHORIZATION},
};

void pop3_command_run(struct pop3_session *session)
{
    if (commands[session->line.verb].states & 1U << session->state)
        commands[session->line.verb].run(session);
    else if (session->state == POP3_AUTHORIZATION)
        pop3_fault(session, "Log in first");
    else
        pop3_fault(session, "Not after login");
}
