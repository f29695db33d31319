/*
 * stream_race: connecting to a host of several addresses (RFC 8305, of which this is section 5).
 *
 *     0 ms     the first is begun
 *     250 ms   nothing yet: the second, too                    at once, when all that were begun have failed
 *     ...      and so on; the first that is connected wins, and the others are closed
 *
 * So a family that does not work (an IPv6 that leads nowhere) costs a quarter of a second and not a timeout, and one that
 * does is preferred.  The caller has put the families in turn (dns_addresses()).
 *
 * Each connection has a descriptor and a place in the loop as any driven stream; the task sleeps on one wait for all of
 * them.  Whoever lost was not refused: it may be tried again.
 */
#include "core/stream_race.h"

#include <errno.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/loop.h"
#include "core/stream_internal.h"

struct racer {
    struct stream *stream; /* NULL: over */
    uint64_t deadline;
};

static enum stream_status status_of_errno(int error)
{
    if (error == ECONNREFUSED)
        return STREAM_REFUSED;
    return error == ETIMEDOUT ? STREAM_TIMED_OUT : STREAM_BROKEN;
}

/* OK: it is under way. */
static enum stream_status begin(const struct stream_target *target, struct stream **out)
{
    int fd = socket(target->address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enum stream_status status;

    *out = NULL;
    if (fd < 0)
        return STREAM_BROKEN;
    if ((target->source && bind(fd, target->source, target->source_length) != 0) ||
        (connect(fd, target->address, target->length) != 0 && errno != EINPROGRESS && errno != EINTR)) {
        status = status_of_errno(errno);
        close(fd);
        return status;
    }
    *out = stream_new(fd, true, STREAM_CONNECTING);
    stream_kick(*out);
    return STREAM_OK;
}

static void on_time(void *arg)
{
    task_wake(arg);
}

/* Until something happens to one of them, or the time has come. */
static AWAITS void sleep_until(struct racer *racers, unsigned begun, uint64_t at)
{
    struct task_wait wait = TASK_WAIT_INIT;
    struct loop_timer timer = {0};
    uint64_t now = clock_steady_ms();

    for (unsigned i = 0; i < begun; i++)
        if (racers[i].stream)
            racers[i].stream->waiter = &wait;
    loop_timer_set(&timer, at > now ? at - now : 0, on_time, &wait);
    task_wait(&wait);
    loop_timer_clear(&timer);
    for (unsigned i = 0; i < begun; i++)
        if (racers[i].stream)
            racers[i].stream->waiter = NULL;
}

/* Closes who has failed, and tells how; true: some are under way.  *earliest: when the next of them is too late. */
static bool look(struct racer *racers, unsigned begun, struct stream_target *targets, enum stream_status *status,
                 uint64_t *earliest)
{
    uint64_t now = clock_steady_ms();
    bool open = false;

    *earliest = UINT64_MAX;
    for (unsigned i = 0; i < begun; i++) {
        struct racer *racer = &racers[i];

        if (!racer->stream || racer->stream->phase == STREAM_OPEN)
            continue;
        if (racer->stream->broken || now >= racer->deadline) {
            *status = racer->stream->broken ? racer->stream->status : STREAM_TIMED_OUT;
            targets[i].failed = true;
            stream_abort(&racer->stream);
            continue;
        }
        open = true;
        *earliest = racer->deadline < *earliest ? racer->deadline : *earliest;
    }
    return open;
}

/* The first that is connected; the others are closed. */
static bool finish(struct racer *racers, unsigned begun, struct stream **out, unsigned *winner)
{
    for (unsigned i = 0; i < begun && !*out; i++)
        if (racers[i].stream && racers[i].stream->phase == STREAM_OPEN) {
            *out = racers[i].stream;
            *winner = i;
        }
    for (unsigned i = 0; i < begun && *out; i++)
        if (racers[i].stream && racers[i].stream != *out)
            stream_abort(&racers[i].stream);
    return *out != NULL;
}

AWAITS enum stream_status stream_race(struct stream_target *targets, unsigned count, unsigned timeout_ms,
                                      struct stream **out, unsigned *winner)
{
    struct racer racers[STREAM_RACE_MAX];
    enum stream_status status = STREAM_BROKEN;
    uint64_t next_at = 0, earliest;
    unsigned begun = 0;

    *out = NULL;
    count = count < STREAM_RACE_MAX ? count : STREAM_RACE_MAX;
    for (;;) {
        bool open = look(racers, begun, targets, &status, &earliest);

        if (finish(racers, begun, out, winner))
            return STREAM_OK;
        if (begun < count && (!open || clock_steady_ms() >= next_at)) {
            enum stream_status at_once = begin(&targets[begun], &racers[begun].stream);

            targets[begun].failed = at_once != STREAM_OK;
            status = at_once != STREAM_OK ? at_once : status;
            racers[begun++].deadline = clock_steady_ms() + timeout_ms;
            next_at = clock_steady_ms() + STREAM_RACE_MS;
            continue;
        }
        if (!open)
            return status;
        sleep_until(racers, begun, begun < count && next_at < earliest ? next_at : earliest);
    }
}
