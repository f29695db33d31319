/*
 * stream_drive: the half for next hops: straight-line code in a task that waits.
 *
 * Every wait has the same form: look whether what is wanted has come; if not, sleep until the next turn of the
 * connection or the deadline; look again.  Each turn wakes the sleeping task, whatever happened in it: the
 * condition is asked for again, so a wake-up too many costs a switch, one too few is impossible.
 *
 * What the peer has sent before a connection broke is still read: a server that says "421 too many connections" and
 * resets is understood.
 */
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/loop.h"
#include "core/stream_internal.h"
#include "core/tls_dane.h"

const char *stream_status_text(enum stream_status status)
{
    switch (status) {
    case STREAM_OK: return "ok";
    case STREAM_REFUSED: return "connection refused";
    case STREAM_TIMED_OUT: return "timed out";
    case STREAM_BROKEN: return "connection broken";
    case STREAM_TOO_LONG: return "line too long";
    }
    return "unknown";
}

static void on_deadline(void *arg)
{
    task_wake(arg);
}

/* Until the stream's next turn; false: the deadline has passed. */
static AWAITS bool drive_wait(struct stream *stream, uint64_t deadline)
{
    struct task_wait wait = TASK_WAIT_INIT;
    struct loop_timer timer = {0};
    uint64_t now = clock_steady_ms();

    if (now >= deadline)
        return false;
    stream->waiter = &wait;
    loop_timer_set(&timer, deadline - now, on_deadline, &wait);
    task_wait(&wait);
    loop_timer_clear(&timer);
    stream->waiter = NULL;
    return true;
}

/* ------------------------------------------------------------------ TLS */

void stream_show_identity(struct stream *stream, const struct tls_identity *identity)
{
    stream->identity = identity;
}

AWAITS enum stream_status stream_connect_tls(struct stream *stream, struct tls *tls, const char *name,
                                             unsigned timeout_ms)
{
    uint64_t deadline = clock_steady_ms() + timeout_ms;

    if (stream->broken)
        return stream->status;
    stream->name = name;
    stream_begin_tls(stream, tls);
    while (!stream->broken && stream->phase != STREAM_OPEN)
        if (!drive_wait(stream, deadline))
            break;
    stream->name = NULL;
    stream->identity = NULL;
    if (!stream->broken && stream->phase != STREAM_OPEN) /* half a handshake is good for nothing */
        stream_fail(stream, STREAM_END_TIMEOUT, STREAM_TIMED_OUT);
    return stream->broken ? stream->status : STREAM_OK;
}

/* ------------------------------------------------------------------ lines and output */

static struct slice take_line(struct stream *stream, struct arena *arena, size_t length)
{
    char *line = arena_alloc(arena, length + 1);

    evbuffer_remove(stream->input, line, length);
    length--;
    if (length > 0 && line[length - 1] == '\r')
        length--;
    line[length] = '\0';
    stream->scanned = 0;
    stream_kick(stream); /* there is room again */
    return slice_of(line, length);
}

AWAITS enum stream_status stream_read_line(struct stream *stream, struct arena *arena, size_t max, unsigned timeout_ms,
                                           struct slice *line)
{
    uint64_t deadline = clock_steady_ms() + timeout_ms;

    *line = (struct slice){NULL, 0};
    max = max < STREAM_INPUT_MAX ? max : STREAM_INPUT_MAX;
    for (;;) {
        struct evbuffer_ptr start, found = {.pos = -1};

        if (evbuffer_ptr_set(stream->input, &start, stream->scanned, EVBUFFER_PTR_SET) == 0)
            found = evbuffer_search(stream->input, "\n", 1, &start);
        if (found.pos >= 0 && (size_t)found.pos < max) {
            *line = take_line(stream, arena, (size_t)found.pos + 1);
            return STREAM_OK;
        }
        stream->scanned = evbuffer_get_length(stream->input);
        if (found.pos >= 0 || stream->scanned >= max) {
            stream->scanned = 0;
            return STREAM_TOO_LONG;
        }
        if (stream->broken)
            return stream->status;
        if (stream->eof)
            return STREAM_BROKEN;
        if (!drive_wait(stream, deadline))
            return STREAM_TIMED_OUT;
    }
}

AWAITS enum stream_status stream_read_bytes(struct stream *stream, char *bytes, size_t n, unsigned timeout_ms)
{
    uint64_t deadline = clock_steady_ms() + timeout_ms;

    while (n) {
        int got = evbuffer_remove(stream->input, bytes, n);

        if (got > 0) {
            bytes += got;
            n -= (size_t)got;
            stream->scanned = 0;
            stream_kick(stream); /* there is room again */
            continue;
        }
        if (stream->broken)
            return stream->status;
        if (stream->eof)
            return STREAM_BROKEN;
        if (!drive_wait(stream, deadline))
            return STREAM_TIMED_OUT;
    }
    return STREAM_OK;
}

AWAITS enum stream_status stream_connect_dane(struct stream *stream, struct tls *tls, const struct tls_dane *dane,
                                              unsigned timeout_ms)
{
    enum stream_status status;

    stream->dane = dane;
    status = stream_connect_tls(stream, tls, dane->base, timeout_ms);
    stream->dane = NULL;
    return status;
}

AWAITS enum stream_status stream_flush(struct stream *stream, size_t low, unsigned timeout_ms)
{
    size_t pending = evbuffer_get_length(stream->output);
    uint64_t deadline = clock_steady_ms() + timeout_ms;

    while (!stream->broken && pending > low) {
        size_t left;

        if (!drive_wait(stream, deadline))
            return STREAM_TIMED_OUT;
        left = evbuffer_get_length(stream->output);
        if (left < pending)
            deadline = clock_steady_ms() + timeout_ms;
        pending = left;
    }
    return stream->broken ? stream->status : STREAM_OK;
}
