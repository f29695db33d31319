/*
 * stream_serve: the front-ends' half: lines and raw bytes to callbacks.
 *
 * A line ends in LF; CR before it belongs to the end.  Whether that is acceptable (SMTP wants CRLF and nothing else)
 * is for the protocol to say, so the callback learns of a bare LF or a bare CR.  The search for LF goes on where the
 * last one stopped (`scanned`): a peer that sends its line byte by byte costs one look per byte.
 *
 * A line over the limit is swallowed as it comes, so it never occupies more than the limit, and is
 * reported once, at its end: a protocol then answers in the right place of a pipelined dialogue.
 *
 * Lines are copied into one buffer for the whole process before the callback sees them.  That is safe because
 * dispatching never nests (stream_turn() is only called by the loop), and necessary because the callback may drop
 * the input buffer (STARTTLS).  It is wiped after each use: lines carry passwords.
 *
 * One turn hands on at most DISPATCH_MAX lines, so that a client that pipelines a thousand commands shares the process
 * with the others.
 */
#include <event2/buffer.h>
#include <string.h>

#include "core/clock.h"
#include "core/stream_internal.h"

#define DISPATCH_MAX 32

static char line_buffer[STREAM_INPUT_MAX + 1];

struct stream *stream_serve(int fd, struct tls *tls, const struct stream_limits *limits,
                            const struct stream_handler *handler, void *arg)
{
    struct stream *stream = stream_new(fd, false, STREAM_OPEN);

    stream->handler = handler;
    stream->arg = arg;
    stream_set_limits(stream, limits);
    stream_learn_addresses(stream);
    if (tls)
        stream_begin_tls(stream, tls);
    stream_kick(stream);
    return stream;
}

void stream_set_limits(struct stream *stream, const struct stream_limits *limits)
{
    stream->limits = *limits;
    if (stream->limits.line_max > STREAM_INPUT_MAX)
        stream->limits.line_max = STREAM_INPUT_MAX;
    stream_kick(stream);
}

void stream_pause(struct stream *stream)
{
    stream->paused = true;
    stream_kick(stream);
}

void stream_resume(struct stream *stream)
{
    if (stream->paused)
        stream->heard_ms = clock_steady_ms(); /* the peer's silence begins to count now */
    stream->paused = false;
    stream->recheck = true;
    stream->offered = 0;
    stream_kick(stream);
}

void stream_mode_raw(struct stream *stream)
{
    stream->raw = true;
    stream->recheck = true;
    stream->offered = 0;
    stream_kick(stream);
}

void stream_mode_line(struct stream *stream)
{
    stream->raw = false;
    stream->recheck = true;
    stream->scanned = 0;
    stream_kick(stream);
}

void stream_start_tls(struct stream *stream, struct tls *tls)
{
    if (!stream->broken)
        stream_begin_tls(stream, tls);
}

void stream_take_over(struct stream *stream)
{
    stream->driven = true;
    stream->handler = NULL;
    stream->paused = stream->raw = false;
    stream_kick(stream);
}

/* ------------------------------------------------------------------ lines */

/* Length of the first line with its end, or 0; remembers how far it has looked. */
static size_t find_line(const struct stream *stream, size_t from)
{
    struct evbuffer_ptr start, found;

    if (evbuffer_ptr_set(stream->input, &start, from, EVBUFFER_PTR_SET) != 0)
        return 0;
    found = evbuffer_search(stream->input, "\n", 1, &start);
    return found.pos < 0 ? 0 : (size_t)found.pos + 1;
}

bool stream_input_pending(const struct stream *stream)
{
    if (stream->raw)
        return evbuffer_get_length(stream->input) > 0;
    return find_line(stream, stream->scanned) > 0;
}

static void hand_on_line(struct stream *stream, size_t length)
{
    size_t whole = length;
    bool bare;

    stream->heard_ms = clock_steady_ms();
    evbuffer_remove(stream->input, line_buffer, length);
    length--;
    bare = length == 0 || line_buffer[length - 1] != '\r';
    if (!bare)
        length--;
    bare = bare || memchr(line_buffer, '\r', length);
    line_buffer[length] = '\0';
    stream->handler->on_line(stream->arg, line_buffer, length, bare);
    explicit_bzero(line_buffer, whole);
}

/* The end of a line that is too long has not come yet. */
static void swallow(struct stream *stream)
{
    stream->swallowing = true;
    stream->scanned = 0;
    evbuffer_drain(stream->input, evbuffer_get_length(stream->input));
}

static bool dispatch_line(struct stream *stream)
{
    size_t length = find_line(stream, stream->scanned);

    if (length == 0) {
        stream->scanned = evbuffer_get_length(stream->input);
        if (stream->swallowing || stream->scanned >= stream->limits.line_max)
            swallow(stream);
        return false;
    }
    stream->scanned = 0;
    if (!stream->swallowing && length <= stream->limits.line_max) {
        hand_on_line(stream, length);
        return true;
    }
    stream->swallowing = false;
    stream->heard_ms = clock_steady_ms();
    evbuffer_drain(stream->input, length);
    stream->handler->on_line_too_long(stream->arg);
    return true;
}

/* ------------------------------------------------------------------ raw bytes */

static bool dispatch_raw(struct stream *stream)
{
    size_t length = evbuffer_get_length(stream->input);

    if (length == 0 || length == stream->offered)
        return false;
    stream->handler->on_data(stream->arg, stream->input);
    stream->offered = evbuffer_get_length(stream->input);
    return !stream->raw;
}

/* ------------------------------------------------------------------ both */

static bool may_dispatch(const struct stream *stream)
{
    return !stream->ended && !stream->broken && !stream->paused && stream->phase == STREAM_OPEN;
}

bool stream_dispatch(struct stream *stream)
{
    unsigned n = 0;

    while (may_dispatch(stream)) {
        if (n++ == DISPATCH_MAX)
            return true;
        if (stream->raw ? !dispatch_raw(stream) : !dispatch_line(stream))
            return false;
    }
    return false;
}

void stream_tell_end(struct stream *stream, enum stream_end end)
{
    if (stream->ended)
        return;
    stream->ended = true;
    stream->handler->on_end(stream->arg, end);
}
