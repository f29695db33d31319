/*
 * stream_io: one turn of one connection: take bytes in, hand them on, send bytes out, decide what to wait for.
 *
 *     event (readable, writable, time, asked for)
 *       -> handshake or fill the input        at most STREAM_INPUT_MAX lie here
 *       -> lines to callbacks, or wake the task that drives it
 *       -> flush the output                   tried at once: most replies never wait for an event
 *       -> close, if that is what is left; arm events and the one timer for the next turn
 *
 * TLS.  OpenSSL reads and writes the socket itself.  Two things must be remembered between calls: that a write
 * could not go on without reading (and the reverse), and that decrypted bytes may lie inside OpenSSL while the
 * socket has none: SSL_pending() is asked before we wait for "readable".  A connection that ends without close_notify
 * counts as ended (SSL_OP_IGNORE_UNEXPECTED_EOF, set in tls.c): mail protocols say themselves when a message is whole.
 *
 * Fairness: one turn reads at most one input buffer's worth and sends at most FLUSH_MAX.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_MODULE "stream"
#include "core/clock.h"
#include "core/log.h"
#include "core/stream_internal.h"

#define FLUSH_MAX (256 * 1024)
#define TLS_RECORD 16384
#define LINGER_MS 2000
#define LINGER_BYTES (1024 * 1024)

/* Input passes through here, so that a buffer's chains have the size of what came, not of what might have come. */
static char scratch[STREAM_INPUT_MAX];

void stream_fail(struct stream *stream, enum stream_end end, enum stream_status status)
{
    if (stream->broken)
        return;
    stream->broken = true;
    stream->output_lost = evbuffer_get_length(stream->output) > 0;
    stream->end = end;
    stream->status = status;
    evbuffer_drain(stream->output, evbuffer_get_length(stream->output));
    stream_kick(stream);
}

static void fail_errno(struct stream *stream, int error)
{
    if (error == ETIMEDOUT)
        stream_fail(stream, STREAM_END_TIMEOUT, STREAM_TIMED_OUT);
    else
        stream_fail(stream, STREAM_END_ERROR, error == ECONNREFUSED ? STREAM_REFUSED : STREAM_BROKEN);
}

static bool would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* ------------------------------------------------------------------ in */

/* Bytes, or 0: nothing now (the stream's flags say why). */
static size_t read_clear(struct stream *stream, char *out, size_t n)
{
    ssize_t got = recv(stream->fd, out, n, 0);

    if (got > 0)
        return (size_t)got;
    if (got == 0)
        stream->eof = true;
    else if (!would_block(errno))
        fail_errno(stream, errno);
    return 0;
}

static size_t read_tls(struct stream *stream, char *out, size_t n)
{
    size_t got = 0;

    ERR_clear_error();
    stream->read_wants_write = false;
    if (SSL_read_ex(stream->ssl, out, n, &got) == 1)
        return got;
    switch (SSL_get_error(stream->ssl, 0)) {
    case SSL_ERROR_WANT_READ: return 0;
    case SSL_ERROR_WANT_WRITE: stream->read_wants_write = true; return 0;
    case SSL_ERROR_ZERO_RETURN: stream->eof = true; return 0;
    default: stream_fail(stream, STREAM_END_ERROR, STREAM_BROKEN); return 0;
    }
}

static void fill(struct stream *stream)
{
    size_t room = STREAM_INPUT_MAX - evbuffer_get_length(stream->input);

    while (room > 0) {
        size_t got = stream->ssl ? read_tls(stream, scratch, room) : read_clear(stream, scratch, room);

        if (got == 0)
            return;
        if (stream->raw) /* else a whole line counts, see stream_serve.c */
            stream->heard_ms = clock_steady_ms();
        if (evbuffer_add(stream->input, scratch, got) != 0) {
            stream_fail(stream, STREAM_END_ERROR, STREAM_BROKEN);
            return;
        }
        room -= got;
        if (!stream->ssl) /* one call has taken what was there; TLS gives one record a call */
            return;
    }
}

/* ------------------------------------------------------------------ out */

/* False: not now. */
static bool send_clear(struct stream *stream, size_t n)
{
    int sent = evbuffer_write_atmost(stream->output, stream->fd, (ev_ssize_t)n);

    if (sent > 0) {
        if (stream->phase == STREAM_TURNING)
            stream->clear_left -= (size_t)sent;
        return true;
    }
    if (sent < 0 && !would_block(errno))
        fail_errno(stream, errno);
    return false;
}

/*
 * A retried SSL_write must offer at least the bytes that it was offered before.  It does: what was not taken
 * is still first in the buffer, which only grows.
 */
static bool send_tls(struct stream *stream, size_t n)
{
    size_t sent = 0;
    const unsigned char *bytes;

    n = n < TLS_RECORD ? n : TLS_RECORD;
    bytes = evbuffer_pullup(stream->output, (ev_ssize_t)n);
    if (!bytes) {
        stream_fail(stream, STREAM_END_ERROR, STREAM_BROKEN);
        return false;
    }
    ERR_clear_error();
    stream->write_wants_read = false;
    if (SSL_write_ex(stream->ssl, bytes, n, &sent) == 1) {
        evbuffer_drain(stream->output, sent);
        return true;
    }
    switch (SSL_get_error(stream->ssl, 0)) {
    case SSL_ERROR_WANT_WRITE: return false;
    case SSL_ERROR_WANT_READ: stream->write_wants_read = true; return false;
    default: stream_fail(stream, STREAM_END_ERROR, STREAM_BROKEN); return false;
    }
}

static void flush(struct stream *stream)
{
    size_t begin = evbuffer_get_length(stream->output), n;

    while ((n = stream_sendable(stream)) > 0 && begin - evbuffer_get_length(stream->output) < FLUSH_MAX)
        if (!(stream->ssl ? send_tls(stream, n) : send_clear(stream, n)))
            break;
    if (evbuffer_get_length(stream->output) < begin)
        stream->sent_ms = clock_steady_ms();
}

/* ------------------------------------------------------------------ beginnings */

static void finish_connect(struct stream *stream)
{
    int error = 0;
    socklen_t length = sizeof error;

    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    if (error) {
        fail_errno(stream, error);
        return;
    }
    stream->phase = STREAM_OPEN;
    stream_learn_addresses(stream);
}

static void begin_handshake(struct stream *stream)
{
    stream->ssl = stream_ssl_new(stream);
    if (!stream->ssl || SSL_set_fd(stream->ssl, stream->fd) != 1) {
        stream_fail(stream, STREAM_END_ERROR, STREAM_BROKEN);
        return;
    }
    stream->phase = STREAM_HANDSHAKE;
    stream->heard_ms = clock_steady_ms(); /* its time limit is for the whole of it */
}

static void handshake(struct stream *stream)
{
    int n, error;

    ERR_clear_error();
    stream->handshake_wants_write = false;
    n = SSL_do_handshake(stream->ssl);
    if (n == 1) {
        stream->phase = STREAM_OPEN;
        stream->heard_ms = stream->sent_ms = clock_steady_ms();
        if (stream->handler && stream->handler->on_tls && !stream->ended)
            stream->handler->on_tls(stream->arg);
        return;
    }
    error = SSL_get_error(stream->ssl, n);
    if (error == SSL_ERROR_WANT_READ)
        return;
    if (error == SSL_ERROR_WANT_WRITE) {
        stream->handshake_wants_write = true;
        return;
    }
    n = (int)ERR_GET_REASON(ERR_peek_error());
    log_info("TLS handshake failed", log_id(stream->session ? "session" : NULL, stream->session),
             log_str("peer", stream->peer),
             log_str("reason", n ? ERR_reason_error_string(ERR_peek_error()) : "connection closed"));
    stream_fail(stream, STREAM_END_ERROR, STREAM_BROKEN);
}

/* ------------------------------------------------------------------ endings */

static void discard(struct stream *stream)
{
    ssize_t got = recv(stream->fd, scratch, sizeof scratch, 0);

    if (got > 0)
        stream->lingered += (size_t)got;
    if (got == 0 || (got < 0 && !would_block(errno)) || stream->lingered > LINGER_BYTES)
        stream_bury(stream);
}

/* What is left of a stream whose owner has closed it. */
static void close_on(struct stream *stream)
{
    bool unsent = evbuffer_get_length(stream->output) > 0;

    if (stream->phase == STREAM_LINGER || stream->phase == STREAM_DEAD)
        return;
    if (unsent && !stream->broken)
        return;
    if (stream->broken || stream->phase != STREAM_OPEN) {
        stream_bury(stream);
        return;
    }
    if (stream->ssl) {
        ERR_clear_error();
        SSL_shutdown(stream->ssl); /* close_notify; we do not wait for the peer's */
    }
    if (stream->driven || stream->eof || shutdown(stream->fd, SHUT_WR) != 0) {
        stream_bury(stream);
        return;
    }
    stream->phase = STREAM_LINGER;
    stream->close_by_ms = clock_steady_ms() + LINGER_MS;
}

/* ------------------------------------------------------------------ the turn */

static bool input_waits_inside(const struct stream *stream)
{
    return stream->ssl && stream->phase == STREAM_OPEN && SSL_pending(stream->ssl) > 0;
}

static void move_in(struct stream *stream, short what)
{
    switch (stream->phase) {
    case STREAM_CONNECTING:
        if (what & EV_WRITE)
            finish_connect(stream);
        return;
    case STREAM_TURNING:
        flush(stream);
        if (stream->clear_left > 0 || stream->broken)
            return;
        begin_handshake(stream);
        if (!stream->broken)
            handshake(stream);
        return;
    case STREAM_HANDSHAKE: handshake(stream); return;
    case STREAM_LINGER:
        if (what & EV_READ)
            discard(stream);
        return;
    case STREAM_DEAD: return;
    case STREAM_OPEN: break;
    }
    if (stream_wants_read(stream) && ((what & EV_READ) || stream->read_wants_write || input_waits_inside(stream)))
        fill(stream);
}

/* True: there is more to hand on as soon as others had their turn. */
static bool hand_on(struct stream *stream)
{
    bool more;

    if (stream->driven) {
        if (stream->waiter)
            task_wake(stream->waiter);
        return false;
    }
    if (stream->broken) {
        stream_tell_end(stream, stream->end);
        return false;
    }
    more = stream_dispatch(stream);
    stream->recheck = false; /* what a callback changed, dispatching has seen */
    if (stream->eof && !more && !stream->paused && stream->phase == STREAM_OPEN)
        stream_tell_end(stream, STREAM_END_EOF);
    return more;
}

static void tell_drained(struct stream *stream)
{
    if (!stream->above_low || evbuffer_get_length(stream->output) >= STREAM_OUTPUT_LOW)
        return;
    stream->above_low = false;
    if (!stream->ended && !stream->broken && stream->handler && stream->handler->on_drain)
        stream->handler->on_drain(stream->arg);
}

static void stream_free(struct stream *stream)
{
    event_del(&stream->later_event);
    evbuffer_free(stream->input);
    evbuffer_free(stream->output);
    free(stream);
}

void stream_turn(struct stream *stream, short what)
{
    static const struct timeval now = {0, 0};
    bool more;

    stream->in_turn = true;
    if (what & EV_TIMEOUT)
        stream_check_time(stream);
    move_in(stream, what);
    more = hand_on(stream);
    flush(stream);
    tell_drained(stream);
    if (stream->broken && !stream->driven)
        stream_tell_end(stream, stream->end);
    if (stream->closing)
        close_on(stream);
    stream->in_turn = false;
    if (stream->phase == STREAM_DEAD) {
        stream_free(stream);
        return;
    }
    stream_arm(stream);
    if (more || stream->recheck || (stream_wants_read(stream) && input_waits_inside(stream)))
        event_add(&stream->later_event, &now);
}
