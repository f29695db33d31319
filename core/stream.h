#ifndef CORE_STREAM_H
#define CORE_STREAM_H
/*
 * stream: one buffered plain or TLS connection.  Two ways to use it:
 *
 * SERVED (front-ends): the loop pushes.  The stream collects whole lines and calls on_line; between
 * lines the session is just data.  A session that cannot take more calls stream_pause(); bytes then wait
 * in the kernel (back-pressure), at most STREAM_INPUT_MAX of them here.  For bodies and literals switch
 * to raw mode and take bytes from on_data.
 *
 * DRIVEN (next hops, in a task): stream_race() (its own header), stream_read_line(), stream_flush() wait, each with a
 * deadline; a driven stream has no callbacks.
 *
 * Output never waits in SERVED use: it is queued, and on_drain tells when it has sunk below
 * STREAM_OUTPUT_LOW.  A session looks at stream_output_pending() before it makes more.
 *
 * Lifetime: stream_close() sends what is queued (bounded by the write timeout), then closes; the
 * struct is freed in a later turn, so a callback may close its own stream.  After stream_close() no
 * callback is called any more.
 */
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "core/tls.h"

#define STREAM_INPUT_MAX (64 * 1024)
#define STREAM_OUTPUT_LOW (32 * 1024)
#define STREAM_OUTPUT_HIGH (256 * 1024)

struct stream;
struct evbuffer;

enum stream_end {
    STREAM_END_EOF,     /* the peer closed */
    STREAM_END_TIMEOUT, /* nothing came, or nothing could be sent, within the time */
    STREAM_END_ERROR,   /* reset, TLS failure */
};

struct stream_handler {
    /*
     * One line without its end.  `line` is writable, ends in NUL (not counted; it may contain others) and
     * lives until return.  bare: it ended in LF without CR, or contains a bare CR.
     */
    void (*on_line)(void *arg, char *line, size_t length, bool bare);
    /* The line limit was passed.  The rest of the line is swallowed; called once for that line, at its end. */
    void (*on_line_too_long)(void *arg);
    /* Raw mode: consume what you can from input; what stays is offered again with more. */
    void (*on_data)(void *arg, struct evbuffer *input);
    void (*on_drain)(void *arg);
    /* TLS is up (after stream_start_tls or at connection). */
    void (*on_tls)(void *arg);
    /* The connection is over; the stream must still be closed by its owner. */
    void (*on_end)(void *arg, enum stream_end end);
};

struct stream_limits {
    size_t line_max;          /* longest line, its end included */
    unsigned read_timeout_ms; /* without a whole line (raw mode: a byte) while we wait for the peer; not while paused */
    unsigned write_timeout_ms;
};

/* ------------------------------------------------------------------ served */

/* Takes fd (non-blocking).  tls not NULL: handshake at once (implicit TLS). */
struct stream *stream_serve(int fd, struct tls *tls, const struct stream_limits *limits,
                            const struct stream_handler *handler, void *arg);
void stream_set_limits(struct stream *stream, const struct stream_limits *limits);
void stream_pause(struct stream *stream);
/* Lines that are buffered already are dispatched in a later turn, not from here. */
void stream_resume(struct stream *stream);
void stream_mode_raw(struct stream *stream);
void stream_mode_line(struct stream *stream);
/* Is a further line (or, in raw mode, byte) here already?  For answering pipelined commands in one go. */
bool stream_input_pending(const struct stream *stream);
/* Drops buffered input and begins the server handshake (RFC 3207 section 4.2: nothing survives STARTTLS).
 * What was written before goes out in clear first. */
void stream_start_tls(struct stream *stream, struct tls *tls);

/*
 * From now on it is driven: no callback is called any more.  What was written is sent, what has come and was not
 * dispatched stays to be read.  Not from a callback.
 */
void stream_take_over(struct stream *stream);

/* ------------------------------------------------------------------ both */

void stream_write(struct stream *stream, struct slice bytes);
void stream_printf(struct stream *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Moves everything out of buffer without copying. */
void stream_write_buffer(struct stream *stream, struct evbuffer *buffer);
size_t stream_output_pending(const struct stream *stream);
/* The connection broke before all that was written had left: the last byte of it has not reached the peer. */
bool stream_output_lost(const struct stream *stream);

bool stream_is_tls(const struct stream *stream);
/* "TLSv1.3" and "TLS_AES_256_GCM_SHA384", as registered with IANA; NULL in clear. */
const char *stream_tls_version(const struct stream *stream);
const char *stream_tls_cipher(const struct stream *stream);
/* Driven: the server's certificate is one that tls_verified() vouches for.  False in clear. */
bool stream_tls_verified(const struct stream *stream);
/* Driven: what is wrong with it.  NONE in clear. */
enum tls_trouble stream_tls_trouble(const struct stream *stream);
/* Driven: it is one that the records mean with which it was connected.  False in clear. */
bool stream_tls_dane(const struct stream *stream);
/* The certificate that the client has shown, in the arena.  False: none, or in clear. */
bool stream_tls_peer(const struct stream *stream, struct arena *arena, struct tls_peer *out);
/* For a served connection.  False: none, or in clear. */
bool stream_tls_binding(const struct stream *stream, struct tls_binding *out);
/* An address as text, without port; empty: it is of no family that has one. */
void stream_address_text(const struct sockaddr_storage *address, char out[INET6_ADDRSTRLEN]);
/* Text of the peer's and our own address, without port; valid as long as the stream. */
const char *stream_peer(const struct stream *stream);
/* Our own log lines about the stream name that session; 0: none. */
void stream_set_session(struct stream *stream, int64_t session);
const struct sockaddr *stream_peer_address(const struct stream *stream);
const char *stream_local(const struct stream *stream);
/* What a proxy says of the connection counts from now on.  local NULL: stays as it is. */
void stream_set_addresses(struct stream *stream, const struct sockaddr_storage *peer,
                          const struct sockaddr_storage *local);

/* Idempotent by nulling *stream. */
void stream_close(struct stream **stream);
/* Closes at once, dropping what is queued (RST when input is unread). */
void stream_abort(struct stream **stream);
/* How many were closed but still have words to send: a process that ends orderly waits for them. */
unsigned stream_closing(void);

/* ------------------------------------------------------------------ driven: only in a task */

enum stream_status { STREAM_OK, STREAM_REFUSED, STREAM_TIMED_OUT, STREAM_BROKEN, STREAM_TOO_LONG };

/* What went wrong, in words, for logs and events: "connection refused", "timed out", ... */
const char *stream_status_text(enum stream_status status);

AWAITS enum stream_status stream_connect_tls(struct stream *stream, struct tls *tls, const char *name,
                                             unsigned timeout_ms);
/* Driven, before either: what is shown to a server that asks, until the handshake is over; NULL: nothing. */
struct tls_identity;
void stream_show_identity(struct stream *stream, const struct tls_identity *identity);
/* The same, held against records of which tls_dane_usable() knows some; stream_tls_dane() says what came of it. */
struct tls_dane;
AWAITS enum stream_status stream_connect_dane(struct stream *stream, struct tls *tls, const struct tls_dane *dane,
                                              unsigned timeout_ms);
/* A line without its end, in the arena. */
AWAITS enum stream_status stream_read_line(struct stream *stream, struct arena *arena, size_t max, unsigned timeout_ms,
                                           struct slice *line);
/* Exactly n bytes, into bytes. */
AWAITS enum stream_status stream_read_bytes(struct stream *stream, char *bytes, size_t n, unsigned timeout_ms);
/* Waits until at most `low` bytes are queued.  The timeout is for progress, not for the whole. */
AWAITS enum stream_status stream_flush(struct stream *stream, size_t low, unsigned timeout_ms);

#endif
