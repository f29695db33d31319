/*
 * server: the registry of living sessions and the limits on clients.
 *
 * All sessions of the process are in one list for each protocol, so that draining can visit them; what a client
 * address has open is counted in a hash table of counters that come and go with their sessions.  The table grows with the
 * number of sessions, which is bounded, and its hash is keyed with a random number, so that nobody can aim
 * addresses at one chain.
 *
 * A client is an IPv4 address or an IPv6 /64, the smallest block that is given to one customer.
 * Loopback is exempt: proxies, tests and the machine's own programs come from there.
 */
#include "protocols/server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "server"
#include "core/id.h"
#include "core/secret.h"
#include "protocols/proxy_parse.h"

#define BUCKETS 4096
#define TLS_NAMES_MEMORY 65536

struct client {
    struct client *next;
    unsigned sessions;
    char key[64];
};

static struct server_session *sessions[SERVER_PROTOCOLS];
static unsigned counts[SERVER_PROTOCOLS], total;
static struct client *buckets[BUCKETS];
static uint64_t hash_seed;
static struct server_limits limits;
static struct task_pool *tasks;
static bool draining;

/* ------------------------------------------------------------------ clients */

static void client_key(const char *peer, char key[64])
{
    struct in6_addr six;

    if (inet_pton(AF_INET6, peer, &six) != 1 || IN6_IS_ADDR_LOOPBACK(&six)) {
        snprintf(key, 64, "%s", peer);
        return;
    }
    if (IN6_IS_ADDR_V4MAPPED(&six)) {
        inet_ntop(AF_INET, &six.s6_addr[12], key, 64);
        return;
    }
    memset(&six.s6_addr[8], 0, 8);
    inet_ntop(AF_INET6, &six, key, 60);
    strncat(key, "/64", 4);
}

static bool is_loopback(const char *key)
{
    return strncmp(key, "127.", 4) == 0 || strcmp(key, "::1") == 0;
}

/* FNV-1a over the seed and the key. */
static struct client **client_find(const char *key)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ hash_seed;
    struct client **link;

    for (const char *p = key; *p; p++)
        hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
    link = &buckets[(hash ^ hash >> 32) % BUCKETS];
    while (*link && strcmp((*link)->key, key) != 0)
        link = &(*link)->next;
    return link;
}

static bool client_enter(const char *key)
{
    struct client **link = client_find(key), *client = *link;

    if (client && limits.sessions_per_client_max && client->sessions >= limits.sessions_per_client_max && !is_loopback(key))
        return false;
    if (!client) {
        client = *link = calloc(1, sizeof *client);
        if (!client)
            abort();
        snprintf(client->key, sizeof client->key, "%s", key);
    }
    client->sessions++;
    return true;
}

static void client_leave(const char *key)
{
    struct client **link = client_find(key), *client = *link;

    if (client && --client->sessions == 0) {
        *link = client->next;
        free(client);
    }
}

/* ------------------------------------------------------------------ sessions */

void server_set_limits(const struct server_limits *l)
{
    limits = *l;
    if (!hash_seed)
        secret_random(&hash_seed, sizeof hash_seed);
}

bool server_session_add(struct server_session *session, enum server_protocol protocol, const char *peer)
{
    session->protocol = protocol;
    session->context = (struct log_context){id_make(0), peer};
    client_key(peer, session->client_key);
    if (draining || (limits.sessions_max && total >= limits.sessions_max) || !client_enter(session->client_key))
        return false;
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
    client_leave(session->client_key);
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

    log_debug("TLS is up", log_str("version", stream_tls_version(stream)), log_str("cipher", stream_tls_cipher(stream)));
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
