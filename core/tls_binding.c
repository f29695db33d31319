/*
 * tls_binding: what ties something said inside a TLS connection to this very connection (RFC 5056).
 *
 * Who stands between client and server has two connections, with other values; a client that mixes the value into what
 * it proves (SCRAM's -PLUS) thus proves it to nobody else.
 *
 *   TLS 1.3   tls-exporter (RFC 9266): 32 bytes that only this connection's key schedule gives
 *   TLS 1.2   tls-unique (RFC 5929 section 3): the first Finished message of the handshake: the client's, or in one that resumes a
 *             session the server's.  Only with the extended master secret (RFC 7627), without which two connections
 *             can be made to have the same one (the triple handshake).
 *
 * Not tls-server-end-point: it ties to the server's certificate, which whoever has stolen the key can show as well.
 */
#include <string.h>

#include "core/tls_internal.h"

#define LABEL "EXPORTER-Channel-Binding" /* RFC 9266 section 2, without context */
#define EXPORTED 32

bool tls_binding(struct ssl_st *ssl, bool server, struct tls_binding *out)
{
    bool client_first = !SSL_session_reused(ssl);

    *out = (struct tls_binding){0};
    if (SSL_version(ssl) >= TLS1_3_VERSION) {
        out->name = "tls-exporter";
        out->size = EXPORTED;
        return SSL_export_keying_material(ssl, out->bytes, EXPORTED, LABEL, strlen(LABEL), NULL, 0, 0) == 1;
    }
    if (SSL_get_extms_support(ssl) != 1)
        return false;
    out->name = "tls-unique";
    out->size = server == client_first ? SSL_get_peer_finished(ssl, out->bytes, sizeof out->bytes)
                                       : SSL_get_finished(ssl, out->bytes, sizeof out->bytes);
    return out->size > 0 && out->size <= sizeof out->bytes;
}
