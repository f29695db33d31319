/*
 * server: the registry of living sessions, and who has how many.
 *
 * All sessions of the process are in one list for each protocol, so that draining can visit them; what an address and
 * a network have open is counted by all processes of the node together (core/tally.h).
 *
 * Whether a connection is served is asked in this order: is there room at all, has the client too many open, are too
 * many coming.  So what one limit refuses is not counted by another.  Loopback is exempt: proxies, tests and the
 * machine's own programs come from there.
 */
#include "protocols/server.h"

#define LOG_MODULE "server"
#include "core/id.h"
#include "core/tally.h"
#include "protocols/proxy_parse.h"

#define TLS_NAMES_MEMORY 65536

static struct server_session *sessions[SERVER_PROTOCOLS];
static unsigned counts[SERVER_PROTOCOLS], total;
static unsigned sessions_max;
uint64_t server_refusals[SERVER_REFUSALS];
static struct task_pool *tasks;
static bool draining;

/* ------------------------------------------------------------------ clients */

/* max 0: no limit. */
static bool client_enter(const struct limit_client *who, const char *key, unsigned max)
{
    unsigned at_once = tally_enter(key);

    if (!max || at_once <= max || limit_exempt(who))
        return true;
    tally_leave(key);
    return false;
}

/* Both are counted, or none. */
static bool client_enter_both(const struct limit_client *who, enum server_refusal *refusal)
{
    *refusal = SERVER_ADDRESS_SESSIONS;
    if (!client_enter(who, who->address, limit_get()->address_sessions))
        return false;
    *refusal = SERVER_NETWORK_SESSIONS;
    if (!client_enter(who, who->network, *who->network ? limit_get()->network_sessions : 0)) {
        tally_leave(who->address);
        return false;
    }
    return true;
}

static void client_leave_both(const struct limit_client *who)
{
    tally_leave(who->address);
    tally_leave(who->network);
}

static bool is_served(const struct limit_client *who, enum server_refusal *refusal)
{
    *refusal = SERVER_DRAINING;
    if (draining)
        return false;
    *refusal = SERVER_FULL;
    if (sessions_max && total >= sessions_max)
        return false;
    if (!client_enter_both(who, refusal))
        return false;
    *refusal = SERVER_ADDRESS_RATE;
    if (limit_address_connection(who)) {
        *refusal = SERVER_NETWORK_RATE;
        if (limit_network_connection(who))
            return true;
    }
    client_leave_both(who);
    return false;
}

/* ------------------------------------------------------------------ sessions */

void server_set_sessions_max(unsigned max)
{
    sessions_max = max;
}

static const char *const words[] = {
    [SERVER_DRAINING] = "shutting down",
    [SERVER_FULL] = "too many connections",
    [SERVER_ADDRESS_SESSIONS] = "too many connections from the address",
    [SERVER_NETWORK_SESSIONS] = "too many connections from the network",
    [SERVER_ADDRESS_RATE] = "too many new connections from the address",
    [SERVER_NETWORK_RATE] = "too many new connections from the network",
};

const char *server_refusal_text(const struct server_session *session)
{
    switch (session->refusal) {
    case SERVER_DRAINING: return "Service shutting down";
    case SERVER_FULL: return "Too many connections, try again later";
    case SERVER_ADDRESS_SESSIONS: return "Too many connections from your address, try again later";
    case SERVER_NETWORK_SESSIONS: return "Too many connections from your network, try again later";
    case SERVER_ADDRESS_RATE: return "Too many new connections from your address, try again later";
    case SERVER_NETWORK_RATE: break;
    }
    return "Too many new connections from your network, try again later";
}

bool server_session_add(struct server_session *session, enum server_protocol protocol, const char *peer)
{
    session->protocol = protocol;
    session->context = (struct log_context){id_make(0), peer};
    limit_client(peer, &session->client);
    if (!is_served(&session->client, &session->refusal)) {
        server_refusals[session->refusal]++;
        log_info("connection refused", log_str("client", peer), log_str("reason", words[session->refusal]));
        return false;
    }
    session->previous = NULL;
    session->next = sessions[protocol];
    if (session->next)
        session->next->previous = session;
    sessions[protocol] = session;
    counts[protocol]++;
    total++;
    return true;
}

void server_session_remove(struct server_session *session)
{
    if (session->previous)
        session->previous->next = session->next;
    else
        sessions[session->protocol] = session->next;
    if (session->next)
        session->next->previous = session->previous;
    session->next = session->previous = NULL;
    counts[session->protocol]--;
    total--;
    client_leave_both(&session->client);
}

/* A session may end (and be removed) inside its shutdown, but no other one. */
void server_drain(void)
{
    draining = true;
    for (unsigned p = 0; p < SERVER_PROTOCOLS; p++)
        for (struct server_session *s = sessions[p], *next; s; s = next) {
            next = s->next;
            s->shutdown(s);
        }
}

bool server_draining(void)
{
    return draining;
}

unsigned server_session_count(enum server_protocol protocol)
{
    return counts[protocol];
}

void server_set_addresses(struct stream *stream, const struct proxy_header *via)
{
    if (via && via->known)
        stream_set_addresses(stream, &via->client, &via->server);
}

void server_log_tls(const struct stream *stream)
{
    struct arena *arena = arena_new(TLS_NAMES_MEMORY);
    struct tls_peer peer;

    log_debug("TLS is up", log_str("version", stream_tls_version(stream)),
              log_str("cipher", stream_tls_cipher(stream)));
    if (stream_tls_peer(stream, arena, &peer))
        log_info("client certificate", log_str("sha256", peer.fingerprint), log_slice("name", peer.name),
                 log_str("verified", peer.verified ? "yes" : "no"));
    arena_free(&arena);
}

struct task_pool *server_tasks(void)
{
    return tasks;
}

void server_set_tasks(struct task_pool *pool)
{
    tasks = pool;
}
