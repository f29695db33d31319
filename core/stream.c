/*
 * stream: making, writing to and closing a connection.
 *
 * A stream is its descriptor, two evbuffers and, once TLS is up, an SSL object.  libevent gives the loop and
 * the buffers; the bytes are moved by stream_io.c rather than by a bufferevent, for three reasons met in
 * libevent 2.1: bufferevent_openssl stops for good when its high-water mark suspends reading while decrypted
 * bytes wait inside OpenSSL; it stops *writing* when the peer's close_notify arrives, which loses the replies
 * to a client that pipelines and half-closes; and it cannot say good-bye (close_notify, then a lingering close).
 *
 * Closing.  stream_close() detaches the owner at once, sends what is queued within the write timeout, sends
 * close_notify, shuts our side and discards for a moment what the peer still sends: a close() with unread
 * input makes the kernel send RST, and that destroys the "421 too many errors" which the peer has not read.
 *
 * Memory of an idle connection: this struct, two empty evbuffers, and 14 KiB of OpenSSL when TLS is on.  Input
 * is bounded by STREAM_INPUT_MAX; output is bounded by its writers (STREAM_OUTPUT_HIGH).
 */
#include "core/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/loop.h"
#include "core/stream_internal.h"
#include "core/tls_dane.h"
#include "core/tls_identity.h"

#define CLOSE_TIMEOUT_MS 10000 /* when no write timeout is known */

static unsigned closing_count;

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct stream *stream = arg;

    (void)fd;
    if (what & EV_TIMEOUT)
        stream->timer_at = 0;
    stream_turn(stream, what);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    stream_turn(arg, 0);
}

struct stream *stream_new(int fd, bool driven, enum stream_phase phase)
{
    struct stream *stream = calloc(1, sizeof *stream);
    static bool sigpipe_ignored;
    int on = 1;

    if (!sigpipe_ignored) /* OpenSSL writes with write(2), which has no MSG_NOSIGNAL */
        sigpipe_ignored = signal(SIGPIPE, SIG_IGN) != SIG_ERR;
    if (!stream)
        abort();
    stream->fd = fd;
    stream->driven = driven;
    stream->phase = phase;
    stream->input = evbuffer_new();
    stream->output = evbuffer_new();
    if (!stream->input || !stream->output)
        abort();
    stream->heard_ms = stream->sent_ms = clock_steady_ms();
    evutil_make_socket_nonblocking(fd);
    evutil_make_socket_closeonexec(fd);
    /* Both fail on what is not TCP (socket pairs in the tests), harmlessly. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    event_assign(&stream->read_event, loop_base(), fd, EV_READ | EV_PERSIST, on_event, stream);
    event_assign(&stream->write_event, loop_base(), fd, EV_WRITE | EV_PERSIST, on_event, stream);
    event_assign(&stream->timer_event, loop_base(), -1, 0, on_event, stream);
    event_assign(&stream->later_event, loop_base(), -1, 0, on_later, stream);
    return stream;
}

/*
 * A timer of no length and not event_active(): an event made active inside a turn runs in that same turn,
 * before other connections have been looked at.
 */
void stream_kick(struct stream *stream)
{
    static const struct timeval now = {0, 0};

    if (!stream->in_turn && !event_pending(&stream->later_event, EV_TIMEOUT, NULL))
        event_add(&stream->later_event, &now);
}

/* ------------------------------------------------------------------ addresses */

/* ::ffff:192.0.2.1 is an IPv4 client of a socket that listens for both: grants and limits must see it as such. */
static void address_unmap(struct sockaddr_storage *address)
{
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    struct sockaddr_in four = {.sin_family = AF_INET};

    if (address->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        return;
    four.sin_port = six->sin6_port;
    memcpy(&four.sin_addr, six->sin6_addr.s6_addr + 12, 4);
    memset(address, 0, sizeof *address);
    memcpy(address, &four, sizeof four);
}

void stream_address_text(const struct sockaddr_storage *address, char out[INET6_ADDRSTRLEN])
{
    const void *bytes = NULL;

    if (address->ss_family == AF_INET)
        bytes = &((const struct sockaddr_in *)address)->sin_addr;
    else if (address->ss_family == AF_INET6)
        bytes = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (!bytes || !inet_ntop(address->ss_family, bytes, out, INET6_ADDRSTRLEN))
        strncpy(out, "unknown", INET6_ADDRSTRLEN);
}

void stream_set_addresses(struct stream *stream, const struct sockaddr_storage *peer,
                          const struct sockaddr_storage *local)
{
    struct sockaddr_storage here;

    stream->peer_address = *peer;
    address_unmap(&stream->peer_address);
    stream_address_text(&stream->peer_address, stream->peer);
    if (!local)
        return;
    here = *local;
    address_unmap(&here);
    stream_address_text(&here, stream->local);
}

void stream_learn_addresses(struct stream *stream)
{
    struct sockaddr_storage local = {0};
    socklen_t length = sizeof stream->peer_address;

    if (getpeername(stream->fd, (struct sockaddr *)&stream->peer_address, &length) != 0)
        stream->peer_address.ss_family = AF_UNSPEC; /* gone already; the first read will say so */
    length = sizeof local;
    if (getsockname(stream->fd, (struct sockaddr *)&local, &length) != 0)
        local.ss_family = AF_UNSPEC;
    stream_set_addresses(stream, &stream->peer_address, &local);
}

void stream_set_session(struct stream *stream, int64_t session)
{
    stream->session = session;
}

const char *stream_peer(const struct stream *stream)
{
    return stream->peer;
}

const struct sockaddr *stream_peer_address(const struct stream *stream)
{
    return (const struct sockaddr *)&stream->peer_address;
}

const char *stream_local(const struct stream *stream)
{
    return stream->local;
}

/* ------------------------------------------------------------------ TLS */

void stream_begin_tls(struct stream *stream, struct tls *tls)
{
    evbuffer_drain(stream->input, evbuffer_get_length(stream->input));
    stream->scanned = stream->offered = 0;
    stream->swallowing = false;
    stream->tls = tls_ref(tls);
    stream->clear_left = evbuffer_get_length(stream->output);
    stream->phase = STREAM_TURNING;
    stream->heard_ms = clock_steady_ms();
    stream_kick(stream);
}

struct ssl_st *stream_ssl_new(const struct stream *stream)
{
    struct ssl_st *ssl = stream->dane ? tls_dane_connection(stream->tls, stream->dane)
                                      : tls_connection(stream->tls, !stream->driven, stream->name);

    if (!ssl || !stream->identity || tls_identity_use(ssl, stream->identity))
        return ssl;
    SSL_free(ssl);
    return NULL;
}

bool stream_is_tls(const struct stream *stream)
{
    return stream->ssl && stream->phase != STREAM_HANDSHAKE;
}

const char *stream_tls_version(const struct stream *stream)
{
    return stream_is_tls(stream) ? SSL_get_version(stream->ssl) : NULL;
}

const char *stream_tls_cipher(const struct stream *stream)
{
    return stream_is_tls(stream) ? SSL_CIPHER_standard_name(SSL_get_current_cipher(stream->ssl)) : NULL;
}

enum tls_trouble stream_tls_trouble(const struct stream *stream)
{
    return stream_is_tls(stream) ? tls_trouble(stream->ssl) : TLS_TROUBLE_NONE;
}

bool stream_tls_dane(const struct stream *stream)
{
    return stream_is_tls(stream) && tls_dane_matched(stream->ssl);
}

bool stream_tls_verified(const struct stream *stream)
{
    return stream_is_tls(stream) && tls_verified(stream->ssl);
}

bool stream_tls_peer(const struct stream *stream, struct arena *arena, struct tls_peer *out)
{
    return stream_is_tls(stream) && tls_peer(stream->ssl, arena, out);
}

bool stream_tls_binding(const struct stream *stream, struct tls_binding *out)
{
    return stream_is_tls(stream) && tls_binding(stream->ssl, true, out);
}

/* ------------------------------------------------------------------ output */

static void output_grows(struct stream *stream)
{
    if (evbuffer_get_length(stream->output) == 0)
        stream->sent_ms = clock_steady_ms();
}

static void output_grew(struct stream *stream, bool ok)
{
    if (!ok) { /* no memory: a dialogue with a hole in it must not go on */
        stream_fail(stream, STREAM_END_ERROR, STREAM_BROKEN);
        return;
    }
    if (evbuffer_get_length(stream->output) >= STREAM_OUTPUT_LOW)
        stream->above_low = true;
    stream_kick(stream);
}

void stream_write(struct stream *stream, struct slice bytes)
{
    if (stream->broken)
        return;
    output_grows(stream);
    output_grew(stream, evbuffer_add(stream->output, bytes.p, bytes.n) == 0);
}

void stream_printf(struct stream *stream, const char *format, ...)
{
    va_list args;
    int n;

    if (stream->broken)
        return;
    output_grows(stream);
    va_start(args, format);
    n = evbuffer_add_vprintf(stream->output, format, args);
    va_end(args);
    output_grew(stream, n >= 0);
}

void stream_write_buffer(struct stream *stream, struct evbuffer *buffer)
{
    if (stream->broken) {
        evbuffer_drain(buffer, evbuffer_get_length(buffer));
        return;
    }
    output_grows(stream);
    output_grew(stream, evbuffer_add_buffer(stream->output, buffer) == 0);
}

size_t stream_output_pending(const struct stream *stream)
{
    return evbuffer_get_length(stream->output);
}

bool stream_output_lost(const struct stream *stream)
{
    return stream->output_lost;
}

/* ------------------------------------------------------------------ closing */

unsigned stream_closing(void)
{
    return closing_count;
}

void stream_close(struct stream **stream)
{
    struct stream *s = *stream;

    if (!s)
        return;
    *stream = NULL;
    s->closing = s->ended = true;
    s->leaving = true;
    closing_count++;
    s->handler = NULL;
    s->close_by_ms = clock_steady_ms() + (s->limits.write_timeout_ms ? s->limits.write_timeout_ms : CLOSE_TIMEOUT_MS);
    stream_kick(s);
}

void stream_abort(struct stream **stream)
{
    struct stream *s = *stream;

    if (!s)
        return;
    *stream = NULL;
    s->closing = s->ended = true;
    s->handler = NULL;
    stream_bury(s);
    stream_kick(s);
}

/* Gives the descriptor back at once; the struct goes when the turn (this one or one asked for) ends. */
void stream_bury(struct stream *stream)
{
    if (stream->phase == STREAM_DEAD)
        return;
    stream->phase = STREAM_DEAD;
    if (stream->leaving)
        closing_count--;
    stream->leaving = false;
    event_del(&stream->read_event);
    event_del(&stream->write_event);
    event_del(&stream->timer_event);
    SSL_free(stream->ssl);
    stream->ssl = NULL;
    tls_unref(&stream->tls);
    close(stream->fd);
    stream->fd = -1;
}
