/*
 * tls_tickets: keys for session tickets that need no talk between processes.
 *
 * A client that comes back meets another worker, or the successor of the one that it knew after a reload, and shall
 * resume its session all the same.  So all of them must have the same keys.  They are not sent around: the master
 * draws one secret, children get it with the fork, and each process makes the keys of the present hour from it by
 * itself, by a steady clock that they share:
 *
 *     secret(n+1) = HMAC(secret(n), "next")       name, cipher, mac (n) = HMAC(secret(n), "name" | "cipher" | "mac")
 *
 * That is a ratchet: from what a process has in memory the keys of hours that are over cannot be made again.  So a
 * ticket that was recorded stays closed, even to who breaks in later (RFC 8446 appendix F.1, "forward secrecy").  The
 * key of the hour before opens tickets still, and a session lives as long as one period at most (tls_server.c), so
 * that each ticket can be used for its whole life.
 *
 * Rejected: a table in shared memory that the master rotates.  It needs a protocol between writer and readers for the
 * same result.  Nodes do not share tickets: a client that meets another node makes a whole handshake.
 *
 * A ticket is sealed with AES-256-CBC and HMAC-SHA-256, as RFC 5077 section 4 recommends and OpenSSL's interface wants
 * it.
 */
#include "core/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "core/clock.h"
#include "core/secret.h"
#include "core/tls_internal.h"

/* ------------------------------------------------------------------ the ratchet */

static void derive(const unsigned char secret[TLS_TICKETS_KEY], const char *what, unsigned char *out, size_t n)
{
    unsigned char made[SECRET_SHA256_SIZE];

    secret_hmac_sha256(slice_of((const char *)secret, TLS_TICKETS_KEY), slice_str(what), made);
    memcpy(out, made, n);
    secret_wipe(made, sizeof made);
}

static void make_keys(struct tls_tickets *tickets)
{
    derive(tickets->secret, "name", tickets->now.name, sizeof tickets->now.name);
    derive(tickets->secret, "cipher", tickets->now.cipher, sizeof tickets->now.cipher);
    derive(tickets->secret, "mac", tickets->now.mac, sizeof tickets->now.mac);
}

void tls_tickets_start(struct tls_tickets *tickets, uint64_t period, const unsigned char secret[TLS_TICKETS_KEY])
{
    tickets->period = period;
    memcpy(tickets->secret, secret, sizeof tickets->secret);
    make_keys(tickets);
    tickets->before = tickets->now;
}

void tls_tickets_advance(struct tls_tickets *tickets, uint64_t period)
{
    for (; tickets->period < period; tickets->period++) {
        tickets->before = tickets->now;
        derive(tickets->secret, "next", tickets->secret, sizeof tickets->secret);
        make_keys(tickets);
    }
}

const struct tls_ticket_key *tls_tickets_find(const struct tls_tickets *tickets, const unsigned char *name)
{
    if (memcmp(name, tickets->now.name, TLS_TICKETS_NAME) == 0)
        return &tickets->now;
    if (memcmp(name, tickets->before.name, TLS_TICKETS_NAME) == 0)
        return &tickets->before;
    return NULL;
}

/*
 * The process's own, started with a random secret at the first call and brought to the present by each.  In the
 * master before it forks, so that children inherit it, and now and then after that.
 */
static struct tls_tickets *present(void)
{
    static struct tls_tickets tickets;
    static bool started;
    uint64_t period = clock_steady_ms() / TLS_TICKETS_PERIOD_MS;
    unsigned char secret[TLS_TICKETS_KEY];

    if (!started) {
        secret_random(secret, sizeof secret);
        tls_tickets_start(&tickets, period, secret);
        secret_wipe(secret, sizeof secret);
        started = true;
    }
    tls_tickets_advance(&tickets, period);
    return &tickets;
}

/* ------------------------------------------------------------------ OpenSSL's questions */

static bool use_key(const struct tls_ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                    int seal)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, seal) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 1: done; 0: not ours, a whole handshake follows; 2: done, and give the client a new one; -1: trouble. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int seal)
{
    const struct tls_tickets *tickets = present();
    const struct tls_ticket_key *key = &tickets->now;

    (void)ssl;
    if (seal) {
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
            return -1;
        memcpy(name, key->name, sizeof key->name);
        return use_key(key, iv, cipher, mac, 1) ? 1 : -1;
    }
    key = tls_tickets_find(tickets, name);
    if (!key)
        return 0;
    if (!use_key(key, iv, cipher, mac, 0))
        return -1;
    return key == &tickets->now ? 1 : 2;
}

bool tls_tickets_use(SSL_CTX *context)
{
    present();
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets only: no state here */
    SSL_CTX_set_timeout(context, TLS_TICKETS_PERIOD_MS / 1000);
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) == 1;
}

void tls_server_share(void)
{
    present();
}
