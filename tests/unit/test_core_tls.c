/* TLS of a server: which certificate for which name, tickets, clients' certificates, the least version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/x509.h>

#include "core/tls_internal.h"
#include "core/tls_tickets.h"

static char folder[] = "/tmp/tls-XXXXXX";

static const char *path(const char *name, const char *kind)
{
    static char paths[8][64];
    static unsigned next;
    char *out = paths[next++ % 8];

    snprintf(out, 64, "%s/%s.%s", folder, name, kind);
    return out;
}

static void make(const char *name, const char *host)
{
    char error[200] = "";

    assert_true(tls_make_self_signed(host, path(name, "pem"), path(name, "key"), error, sizeof error));
}

static const char *const made[][2] = {{"first", "mail.example.test"},
                                      {"wild", "*.wild.test"},
                                      {"exact", "a.wild.test"},
                                      {"client", "client.example.test"}};

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        make(made[i][0], made[i][1]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        unlink(path(made[i][0], "pem"));
        unlink(path(made[i][0], "key"));
    }
    return rmdir(folder);
}

static struct tls *server(const char *client_ca, bool tls13_only)
{
    char certificates[300], keys[300], error[300] = "";
    struct tls *tls;

    snprintf(certificates, sizeof certificates, "%s  %s\t%s", path("first", "pem"), path("wild", "pem"),
             path("exact", "pem"));
    snprintf(keys, sizeof keys, "%s %s %s", path("first", "key"), path("wild", "key"), path("exact", "key"));
    tls = tls_server_new(&(struct tls_server_settings){certificates, keys, client_ca, tls13_only}, error, sizeof error);
    assert_string_equal(error, "");
    assert_non_null(tls);
    return tls;
}

/* ------------------------------------------------------------------ two ends in memory */

struct talk {
    SSL_CTX *client_context;
    SSL *client, *server;
};

/* The last session that a client was given, TLS 1.3 gives it after the handshake. */
static SSL_SESSION *given;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(given);
    given = session;
    return 1;
}

static bool shake(struct talk *talk)
{
    char c;
    int a = 0, b = 0;

    for (unsigned turn = 0; turn < 20; turn++) {
        a = SSL_do_handshake(talk->client);
        b = SSL_do_handshake(talk->server);
    }
    if (a != 1 || b != 1)
        return false;
    assert_int_equal(SSL_write(talk->server, "x", 1), 1); /* takes the tickets along */
    return SSL_read(talk->client, &c, 1) == 1;
}

static bool connect_to(struct talk *talk, struct tls *tls, const char *name, int version, const char *certificate,
                       SSL_SESSION *session)
{
    BIO *one, *other;

    *talk = (struct talk){SSL_CTX_new(TLS_client_method()), NULL, tls_connection(tls, true, NULL)};
    SSL_CTX_set_session_cache_mode(talk->client_context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(talk->client_context, on_session);
    if (version)
        SSL_CTX_set_max_proto_version(talk->client_context, version);
    if (certificate) {
        assert_int_equal(SSL_CTX_use_certificate_file(talk->client_context, path(certificate, "pem"), SSL_FILETYPE_PEM),
                         1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(talk->client_context, path(certificate, "key"), SSL_FILETYPE_PEM),
                         1);
    }
    talk->client = SSL_new(talk->client_context);
    SSL_set_connect_state(talk->client);
    if (name)
        SSL_set_tlsext_host_name(talk->client, name);
    if (session)
        SSL_set_session(talk->client, session);
    assert_int_equal(BIO_new_bio_pair(&one, 0, &other, 0), 1);
    SSL_set_bio(talk->client, one, one);
    SSL_set_bio(talk->server, other, other);
    return shake(talk);
}

static void hang_up(struct talk *talk)
{
    SSL_shutdown(talk->client); /* else its session counts as broken */
    SSL_free(talk->client);
    SSL_free(talk->server);
    SSL_CTX_free(talk->client_context);
}

static const char *shown(const struct talk *talk)
{
    static char name[100];
    X509 *certificate = SSL_get0_peer_certificate(talk->client);

    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    return name;
}

/* ------------------------------------------------------------------ certificates by name */

static void the_name_chooses(void **state)
{
    static const struct {
        const char *asked, *expected;
    } rows[] = {
        {NULL, "mail.example.test"},
        {"mail.example.test", "mail.example.test"},
        {"b.wild.test", "*.wild.test"},
        {"B.Wild.TEST", "*.wild.test"},
        {"a.wild.test", "a.wild.test"},         /* the very name goes before a wildcard that stands first */
        {"a.b.wild.test", "mail.example.test"}, /* "*" is one label */
        {"wild.test", "mail.example.test"},
        {"localhost", "mail.example.test"}, /* all have it: the first */
        {"nobody.test", "mail.example.test"},
    };
    static const int versions[] = {TLS1_2_VERSION, 0};
    struct tls *tls = server(NULL, false);

    (void)state;
    for (size_t v = 0; v < 2; v++)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct talk talk;

            assert_true(connect_to(&talk, tls, rows[i].asked, versions[v], NULL, NULL));
            assert_string_equal(shown(&talk), rows[i].expected);
            hang_up(&talk);
        }
    tls_unref(&tls);
}

static void lists_must_be_as_long(void **state)
{
    char error[300] = "", both[200];

    (void)state;
    snprintf(both, sizeof both, "%s %s", path("first", "pem"), path("wild", "pem"));
    assert_null(
        tls_server_new(&(struct tls_server_settings){both, path("first", "key"), NULL, false}, error, sizeof error));
    assert_non_null(strstr(error, path("wild", "pem")));
    snprintf(both, sizeof both, "%s %s", path("first", "key"), path("wild", "key"));
    assert_null(
        tls_server_new(&(struct tls_server_settings){path("first", "pem"), both, NULL, false}, error, sizeof error));
    assert_non_null(strstr(error, path("wild", "key")));
    assert_null(tls_server_new(&(struct tls_server_settings){path("first", "pem"), path("wild", "key"), NULL, false},
                               error, sizeof error));
    assert_null(
        tls_server_new(&(struct tls_server_settings){path("first", "pem"), path("first", "key"), "/nonexistent", false},
                       error, sizeof error));
    assert_non_null(strstr(error, "/nonexistent"));
}

static void the_least_version(void **state)
{
    struct tls *any = server(NULL, false), *new = server(NULL, true);
    struct talk talk;

    (void)state;
    assert_true(connect_to(&talk, any, NULL, TLS1_2_VERSION, NULL, NULL));
    hang_up(&talk);
    assert_false(connect_to(&talk, new, NULL, TLS1_2_VERSION, NULL, NULL));
    hang_up(&talk);
    assert_true(connect_to(&talk, new, NULL, TLS1_3_VERSION, NULL, NULL));
    hang_up(&talk);
    tls_unref(&any);
    tls_unref(&new);
}

/* ------------------------------------------------------------------ tickets */

static bool resumes(struct tls *tls, const char *name, int version)
{
    SSL_SESSION *session = given;
    struct talk talk;
    bool resumed;

    given = NULL;
    assert_true(connect_to(&talk, tls, name, version, NULL, session));
    resumed = SSL_session_reused(talk.client) == 1 && SSL_session_reused(talk.server) == 1;
    hang_up(&talk);
    SSL_SESSION_free(session);
    return resumed;
}

/* Another context is what another worker has, and the one after a reload. */
static void sessions_are_resumed_by_another_context(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct tls *one = server(NULL, false), *other = server(NULL, false),
                   *stranger = server(path("client", "pem"), false);
        struct talk talk;

        assert_true(connect_to(&talk, one, "b.wild.test", versions[v], NULL, NULL));
        assert_false(SSL_session_reused(talk.client));
        hang_up(&talk);
        tls_unref(&one);
        assert_true(resumes(other, "b.wild.test", versions[v]));
        assert_true(connect_to(&talk, other, "b.wild.test", versions[v], NULL, NULL));
        hang_up(&talk);
        assert_false(resumes(other, "mail.example.test", versions[v])); /* RFC 6066 section 3 */
        assert_false(resumes(stranger, "mail.example.test", versions[v]));
        tls_unref(&other);
        tls_unref(&stranger);
        SSL_SESSION_free(given);
        given = NULL;
    }
}

static void keys_go_on(void **state)
{
    unsigned char secret[TLS_TICKETS_KEY] = "a secret";
    struct tls_tickets one, other;
    struct tls_ticket_key first, second;

    (void)state;
    tls_tickets_start(&one, 100, secret);
    first = one.now;
    assert_ptr_equal(tls_tickets_find(&one, first.name), &one.now);
    tls_tickets_advance(&one, 101);
    second = one.now;
    assert_memory_not_equal(second.name, first.name, sizeof first.name);
    assert_memory_not_equal(second.cipher, first.cipher, sizeof first.cipher);
    assert_memory_not_equal(second.mac, first.mac, sizeof first.mac);
    assert_memory_not_equal(second.mac, second.cipher, sizeof second.mac);
    assert_ptr_equal(tls_tickets_find(&one, first.name), &one.before);
    assert_memory_equal(&one.before, &first, sizeof first);

    other = one; /* a child that is forked now */
    tls_tickets_advance(&one, 105);
    tls_tickets_advance(&one, 3); /* the clock never goes back; if it does, nothing happens */
    assert_null(tls_tickets_find(&one, first.name));
    assert_null(tls_tickets_find(&one, second.name));
    tls_tickets_advance(&other, 103);
    tls_tickets_advance(&other, 105);
    assert_memory_equal(&one, &other, sizeof one);
}

/* ------------------------------------------------------------------ clients' certificates */

static void the_certificate_of_a_client(void **state)
{
    struct tls *tls = server(path("client", "pem"), false);
    struct arena *arena = arena_new(65536);
    struct tls_peer peer;
    struct talk talk;

    (void)state;
    assert_true(connect_to(&talk, tls, NULL, 0, NULL, NULL));
    assert_false(tls_peer(talk.server, arena, &peer));
    hang_up(&talk);

    assert_true(connect_to(&talk, tls, NULL, 0, "client", NULL));
    assert_true(tls_peer(talk.server, arena, &peer));
    assert_true(peer.verified);
    assert_true(slice_equal(peer.name, SLICE("client.example.test")));
    assert_int_equal(peer.host_count, 2);
    assert_true(slice_equal(peer.hosts[0], SLICE("client.example.test")));
    assert_int_equal(peer.address_count, 0);
    assert_int_equal(strlen(peer.fingerprint), 64);
    hang_up(&talk);

    char fingerprint[TLS_FINGERPRINT_SIZE];
    memcpy(fingerprint, peer.fingerprint, sizeof fingerprint);
    SSL_SESSION *session = given;
    given = NULL;
    assert_true(connect_to(&talk, tls, NULL, 0, "client", session)); /* a resumed session knows it still */
    assert_true(SSL_session_reused(talk.server));
    assert_true(tls_peer(talk.server, arena, &peer));
    assert_true(peer.verified);
    assert_string_equal(peer.fingerprint, fingerprint);
    hang_up(&talk);
    SSL_SESSION_free(session);

    assert_true(connect_to(&talk, tls, NULL, 0, "wild", NULL)); /* nobody vouches for it: taken all the same */
    assert_true(tls_peer(talk.server, arena, &peer));
    assert_false(peer.verified);
    assert_string_not_equal(peer.fingerprint, fingerprint);
    hang_up(&talk);
    tls_unref(&tls);

    tls = server(NULL, false); /* not asked */
    assert_true(connect_to(&talk, tls, NULL, 0, "client", NULL));
    assert_false(tls_peer(talk.server, arena, &peer));
    hang_up(&talk);
    tls_unref(&tls);
    SSL_SESSION_free(given);
    given = NULL;
    arena_free(&arena);
}

/* ------------------------------------------------------------------ channel binding */

static void both_sides_are_bound_alike(void **state)
{
    static const struct {
        int version;
        const char *name;
        size_t size;
    } rows[] = {{TLS1_3_VERSION, "tls-exporter", 32}, {TLS1_2_VERSION, "tls-unique", 12}};
    struct tls *tls = server(NULL, false);
    struct tls_binding ours, theirs, before = {0};
    struct talk talk;

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        SSL_SESSION *session = NULL;

        for (unsigned resumed = 0; resumed < 2; resumed++) {
            assert_true(connect_to(&talk, tls, NULL, rows[i].version, NULL, session));
            assert_int_equal(SSL_session_reused(talk.server), resumed);
            assert_true(tls_binding(talk.server, true, &ours));
            assert_true(tls_binding(talk.client, false, &theirs));
            assert_string_equal(ours.name, rows[i].name);
            assert_int_equal(ours.size, rows[i].size);
            assert_int_equal(theirs.size, rows[i].size);
            assert_memory_equal(ours.bytes, theirs.bytes, ours.size);
            assert_memory_not_equal(ours.bytes, before.bytes, ours.size);
            before = ours;
            hang_up(&talk);
            SSL_SESSION_free(session);
            session = given;
            given = NULL;
        }
        SSL_SESSION_free(session);
    }
    tls_unref(&tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_chooses),
        cmocka_unit_test(lists_must_be_as_long),
        cmocka_unit_test(the_least_version),
        cmocka_unit_test(sessions_are_resumed_by_another_context),
        cmocka_unit_test(keys_go_on),
        cmocka_unit_test(the_certificate_of_a_client),
        cmocka_unit_test(both_sides_are_bound_alike),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
