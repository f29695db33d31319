#ifndef PROTOCOLS_SESSION_H
#define PROTOCOLS_SESSION_H
/*
 * session: whose turn it is in an IMAP or POP3 session.
 *
 * A struct session is the first member of the protocol's own (imap_session, pop3_session), which comes from calloc()
 * and is freed here.  Whatever enters it (a line, the end of a task, a timer, drained output) ends in
 * session_settle(), the only place that pauses, resumes, closes and frees: nothing may touch the session afterwards.
 *
 * The client is heard only when nothing is under way.  Its stream is paused, and pipelined commands wait in it, while
 *
 *   - a task runs the command: session_run();
 *   - the answer is held back on purpose: session_hold();
 *   - a long answer is being made: `produce` is set.  It is called whenever the output has sunk below
 *     STREAM_OUTPUT_LOW, may start a task itself, and is set to NULL by who has made the last helping;
 *   - the client does not read: STREAM_OUTPUT_HIGH bytes wait for it.
 *
 * So none of them is asked for while another lasts.  What can come meanwhile is the end of the connection: `stream` is
 * NULL from then on, a task runs to its end and finds nobody to write to, and the session is freed after it.
 *
 * Handlers take the protocol's session as void *.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/loop.h"
#include "core/stream.h"
#include "core/task.h"
#include "protocols/server.h"

/* Why we end it. */
enum session_goodbye {
    SESSION_SHUTDOWN,      /* the process goes; no answer is being made */
    SESSION_BUSY,          /* no task can be had: the command, or the rest of its answer, will not come */
    SESSION_LOGIN_TIMEOUT, /* it talks, but does not say who it is */
};

struct session_kind {
    enum server_protocol protocol;
    size_t line_max;
    unsigned write_timeout_ms;
    const struct stream_handler *handler;
    /* Says so in the protocol's words, and sets `closing`. */
    void (*goodbye)(void *session, enum session_goodbye why);
    /* Nothing is under way: it may begin something of its own, by session_run().  NULL: it never does. */
    void (*at_rest)(void *session);
    /* Gives back what is the protocol's own; there is no stream any more.  The struct itself stays. */
    void (*drop)(void *session);
};

struct session {
    struct server_session server; /* first: shutdown() casts */
    const struct session_kind *kind;
    struct stream *stream; /* NULL: the client is gone */
    char peer[64];         /* its address; outlives the stream */
    bool registered;
    bool paused;       /* we have paused the stream */
    bool closing;      /* after what is queued */
    uint64_t began_ms; /* the task that runs; steady clock */
    AWAITS void (*running)(void *session);
    void (*produce)(void *session);
    void (*held)(void *session);
    struct loop_timer hold, login_timer;
};

/*
 * Serves a connection, once the protocol's own members are set.  False: over a limit: the caller says so and sets
 * `closing`.  Log lines are the session's until session_leave(), which the caller calls in either case.
 */
bool session_begin(struct session *session, const struct session_kind *kind, int fd, bool implicit_tls,
                   const struct proxy_header *via, const struct server_settings *settings)
    __attribute__((warn_unused_result));
/* The client has said who it is. */
void session_logged_in(struct session *session);

/* Runs fn in a task; the session is busy until that has ended.  When none can be had: good-bye, SESSION_BUSY. */
void session_run(struct session *session, AWAITS void (*fn)(void *session));
/* Calls after() in so many milliseconds, unless the client goes before. */
void session_hold(struct session *session, unsigned ms, void (*after)(void *session));
void session_settle(struct session *session);

/* Around an event from the loop: log lines are the session's; then it settles. */
void session_enter(const struct session *session);
void session_leave(struct session *session);
/* For the kind's stream_handler. */
void session_on_drain(void *session);
/* Likewise, the last of its on_end. */
void session_ended(struct session *session);

#endif
