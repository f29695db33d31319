/*
 * stream_watch: what a connection waits for between its turns, and for how long.
 *
 * One timer per connection, set for the earliest deadline and never moved when bytes come: when it rings too early it is
 * set again.  A busy connection so costs no timer operation per packet.  What counts as a sign of life is a whole line
 * (in raw mode, a byte): who sends a line one byte a minute is silent.
 */
#include <event2/buffer.h>

#include "core/clock.h"
#include "core/stream_internal.h"

size_t stream_sendable(const struct stream *stream)
{
    if (stream->broken)
        return 0;
    if (stream->phase == STREAM_TURNING)
        return stream->clear_left;
    return stream->phase == STREAM_OPEN ? evbuffer_get_length(stream->output) : 0;
}

bool stream_wants_read(const struct stream *stream)
{
    if (stream->broken)
        return false;
    switch (stream->phase) {
    case STREAM_CONNECTING:
    case STREAM_TURNING:
    case STREAM_DEAD: return false;
    case STREAM_HANDSHAKE: return !stream->handshake_wants_write;
    case STREAM_LINGER: return true;
    case STREAM_OPEN: break;
    }
    if (stream->write_wants_read)
        return true;
    if (stream->eof || stream->ended || stream->paused)
        return false;
    return evbuffer_get_length(stream->input) < STREAM_INPUT_MAX;
}

static bool wants_write(const struct stream *stream)
{
    if (stream->broken)
        return false;
    switch (stream->phase) {
    case STREAM_CONNECTING:
    case STREAM_TURNING: return true;
    case STREAM_HANDSHAKE: return stream->handshake_wants_write;
    case STREAM_LINGER:
    case STREAM_DEAD: return false;
    case STREAM_OPEN: break;
    }
    return stream->read_wants_write || (!stream->write_wants_read && evbuffer_get_length(stream->output) > 0);
}

static void earlier(uint64_t *deadline, uint64_t other)
{
    if (*deadline == 0 || other < *deadline)
        *deadline = other;
}

/* The peer must say something by then; 0: we do not wait for it.  That it takes what we send is a sign of life. */
static uint64_t read_deadline(const struct stream *stream)
{
    uint64_t since = stream->heard_ms > stream->sent_ms ? stream->heard_ms : stream->sent_ms;

    if (stream->driven || stream->broken || !stream->limits.read_timeout_ms)
        return 0;
    if (stream->phase == STREAM_HANDSHAKE) /* also when closed: the last words wait for TLS, but not for ever */
        return stream->heard_ms + stream->limits.read_timeout_ms;
    if (stream->ended || stream->phase != STREAM_OPEN || stream->paused || stream->eof)
        return 0;
    return since + stream->limits.read_timeout_ms;
}

static uint64_t write_deadline(const struct stream *stream)
{
    if (stream->driven || stream->broken || stream_sendable(stream) == 0 || !stream->limits.write_timeout_ms)
        return 0;
    return stream->sent_ms + stream->limits.write_timeout_ms;
}

static uint64_t next_deadline(const struct stream *stream)
{
    uint64_t deadline = 0, read_by = read_deadline(stream), write_by = write_deadline(stream);

    if (read_by)
        earlier(&deadline, read_by);
    if (write_by)
        earlier(&deadline, write_by);
    if (stream->closing)
        earlier(&deadline, stream->close_by_ms);
    return deadline;
}

static void arm(struct event *event, bool want, bool *armed)
{
    if (want == *armed)
        return;
    *armed = want;
    if (want)
        event_add(event, NULL);
    else
        event_del(event);
}

static void arm_timer(struct stream *stream)
{
    uint64_t deadline = next_deadline(stream), now;
    struct timeval tv;

    if (deadline == 0 || (stream->timer_at && stream->timer_at <= deadline))
        return;
    now = clock_steady_ms();
    stream->timer_at = deadline;
    deadline = deadline > now ? deadline - now : 0;
    tv = (struct timeval){(time_t)(deadline / 1000), (suseconds_t)(deadline % 1000 * 1000 + 999)};
    event_add(&stream->timer_event, &tv);
}

void stream_check_time(struct stream *stream)
{
    uint64_t now = clock_steady_ms(), by;

    if (stream->closing && now >= stream->close_by_ms) {
        stream_bury(stream);
        return;
    }
    by = write_deadline(stream);
    if (by && now >= by) {
        stream_fail(stream, STREAM_END_TIMEOUT, STREAM_TIMED_OUT);
        return;
    }
    by = read_deadline(stream);
    if (!by || now < by)
        return;
    if (stream->phase == STREAM_HANDSHAKE)
        stream_fail(stream, STREAM_END_TIMEOUT, STREAM_TIMED_OUT);
    else
        stream_tell_end(stream, STREAM_END_TIMEOUT); /* its owner may still say good-bye */
}

void stream_arm(struct stream *stream)
{
    arm(&stream->read_event, stream_wants_read(stream), &stream->reading);
    arm(&stream->write_event, wants_write(stream), &stream->writing);
    arm_timer(stream);
}
