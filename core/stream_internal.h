#ifndef CORE_STREAM_INTERNAL_H
#define CORE_STREAM_INTERNAL_H
/*
 * stream_internal: what stream.c (life cycle), stream_io.c (bytes), stream_serve.c (lines to callbacks) and
 * stream_drive.c (waiting tasks) share.  Nobody else includes this.
 *
 * Everything happens in stream_turn(), which only the event loop calls.  What the rest of the program calls
 * changes the struct and, when no turn is under way, asks for one (stream_kick).  So no callback runs
 * from inside a call of ours, and a turn sees every change before it arms events for the next one.
 */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>

#include "core/stream.h"

enum stream_phase {
    STREAM_CONNECTING, /* driven: connect() is under way */
    STREAM_OPEN,       /* bytes flow, in clear or over TLS */
    STREAM_TURNING,    /* STARTTLS: the last clear_left bytes go out in clear, nothing is read */
    STREAM_HANDSHAKE,
    STREAM_LINGER, /* our side is shut; what still comes is discarded, so that no RST kills our last reply */
    STREAM_DEAD,   /* descriptor closed; freed when the turn ends */
};

struct stream {
    int fd;
    enum stream_phase phase;
    bool driven; /* by a task; else served by callbacks */
    bool in_turn;
    bool closing;              /* stream_close() was called: no callbacks any more */
    bool leaving;              /* counted by stream_closing() */
    bool ended;                /* on_end was called, or is not due any more */
    bool eof;                  /* the peer's side is shut */
    bool broken;               /* no byte will go either way */
    bool output_lost;          /* when it broke, something was still to be sent */
    enum stream_end end;       /* why broken */
    enum stream_status status; /* the same, for a task */

    struct event read_event, write_event, timer_event, later_event;
    bool reading, writing; /* armed */
    uint64_t timer_at;     /* 0: not set */

    struct evbuffer *input, *output;
    bool above_low;    /* output rose over STREAM_OUTPUT_LOW since on_drain */
    uint64_t heard_ms; /* last byte came, or waiting for one began */
    uint64_t sent_ms;  /* last byte went, or output began to wait */
    uint64_t close_by_ms;

    struct tls *tls; /* as long as ssl, which asks it for certificates */
    struct ssl_st *ssl;
    const char *name;                    /* driven: of the peer, while the handshake begins */
    const struct tls_identity *identity; /* driven: what is shown to a server that asks; NULL: nothing */
    const struct tls_dane *dane;         /* driven: the same, if there are records for it; NULL: none */
    size_t clear_left;
    bool handshake_wants_write, read_wants_write, write_wants_read;
    size_t lingered;

    /* served */
    const struct stream_handler *handler;
    void *arg;
    struct stream_limits limits;
    bool paused, raw;
    bool recheck;    /* resumed after this turn's dispatch: buffered input needs another */
    bool swallowing; /* in the rest of a line that is too long */
    size_t scanned;  /* bytes of input known to hold no LF */
    size_t offered;  /* raw: bytes that on_data has left lying */

    /* driven */
    struct task_wait *waiter;

    struct sockaddr_storage peer_address;
    char peer[INET6_ADDRSTRLEN], local[INET6_ADDRSTRLEN];
    int64_t session; /* for log lines; 0: none */
};

/* stream.c */
struct stream *stream_new(int fd, bool driven, enum stream_phase phase);
void stream_learn_addresses(struct stream *stream);
void stream_kick(struct stream *stream);
struct ssl_st *stream_ssl_new(const struct stream *stream); /* for its handshake */

/* stream_io.c */
void stream_turn(struct stream *stream, short what);
void stream_fail(struct stream *stream, enum stream_end end, enum stream_status status);
void stream_begin_tls(struct stream *stream, struct tls *tls); /* common to both kinds */
void stream_bury(struct stream *stream);

/* stream_watch.c: for the next turn */
size_t stream_sendable(const struct stream *stream); /* bytes of the output that may go now */
bool stream_wants_read(const struct stream *stream);
void stream_arm(struct stream *stream);
void stream_check_time(struct stream *stream); /* the timer rang: ends what has waited too long */

/* stream_serve.c: true when the turn's share is used up and more could be dispatched at once. */
bool stream_dispatch(struct stream *stream);
/* Calls on_end unless that is done or the owner has closed. */
void stream_tell_end(struct stream *stream, enum stream_end end);

#endif
