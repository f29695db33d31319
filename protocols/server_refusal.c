/*
 * server_refusal: connections that are not served become decisions that can be looked up, whatever the protocol.
 *
 * A limit of the client's, or its own behaviour, is the reason; that the server is full or shutting down is nothing
 * about the client, and has no id.  IMAP and POP3 have no reply codes: the decision has the one that SMTP would give.
 * A flood of connections has a rate of its own (storage/decision.h), beyond which refusals carry no id.
 */
#include "core/id.h"
#include "protocols/server.h"
#include "relay/authorize.h"
#include "storage/decision.h"

/* NULL: it is no limit of the client's. */
static const char *limit_of(enum server_refusal refusal)
{
    switch (refusal) {
    case SERVER_DRAINING:
    case SERVER_FULL: break;
    case SERVER_ADDRESS_SESSIONS: return "sessions_per_client_max";
    case SERVER_NETWORK_SESSIONS: return "sessions_per_network_max";
    case SERVER_ADDRESS_RATE: return "connections_per_minute";
    case SERVER_NETWORK_RATE: return "network_connections_per_minute";
    }
    return NULL;
}

const char *server_note_refusal(const struct server_session *session, struct arena *arena, const char *reason,
                                const char *limit, unsigned code, const char *enhanced, const char *text)
{
    char id_text[ID_TEXT_SIZE];
    int64_t id = decision_note(&(struct decision){
        .command = SLICE("CONNECT"),
        .client = slice_str(session->context.peer),
        .sender = SLICE(""),
        .verdict = slice_str(authorize_verdict_word(AUTHORIZE_DENIED)),
        .reason = slice_str(reason),
        .limit = limit ? slice_str(limit) : slice_of(NULL, 0),
        .code = code,
        .enhanced = slice_str(enhanced),
        .text = slice_str(text),
    });

    return id ? arena_printf(arena, "%s (decision %s)", text, id_print(id, id_text)) : text;
}

const char *server_refuse(const struct server_session *session, struct arena *arena)
{
    const char *text = server_refusal_text(session), *limit = limit_of(session->refusal);

    return limit ? server_note_refusal(session, arena, "client-connections", limit, 421, "4.7.0", text) : text;
}
