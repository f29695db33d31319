/*
 * imap_gather: a command, from its lines and literals.
 *
 * Lines come from the stream; one that ends in "{n}" or "{n+}" is followed by n bytes, taken in raw mode.  All of a
 * command is kept in `pending`, at most IMAP_COMMAND_MAX, but for APPEND's message, which goes into a spool.  When a line
 * ends without a literal the command is complete and is run in a task.
 *
 * A synchronizing literal that is too long is refused before it is sent; a non-synchronizing one (RFC 7888) cannot
 * be, so the connection ends: to swallow it would let anybody keep us busy for nothing.
 */
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "core/secret.h"
#include "protocols/imap_session.h"

static void pending_add(struct imap_session *session, const char *bytes, size_t n)
{
    if (session->pending_count + n > session->pending_room) {
        size_t room = (session->pending_count + n) * 2;
        char *larger = malloc(room);

        if (!larger)
            abort();
        if (session->pending) {
            memcpy(larger, session->pending, session->pending_count);
            secret_wipe(session->pending, session->pending_count);
            free(session->pending);
        }
        session->pending = larger;
        session->pending_room = room;
    }
    memcpy(session->pending + session->pending_count, bytes, n);
    session->pending_count += n;
}

/* Does the line end in "{n}" or "{n+}"? */
static bool ends_in_literal(const char *line, size_t n, uint64_t *size, bool *synchronizing)
{
    size_t i;

    if (n < 3 || line[n - 1] != '}')
        return false;
    i = n - 2;
    *synchronizing = line[i] != '+';
    if (!*synchronizing)
        i--;
    *size = 0;
    for (uint64_t place = 1; line[i] >= '0' && line[i] <= '9'; i--, place *= 10) {
        if (place > UINT64_C(1000000000000))
            return false;
        *size += place * (uint64_t)(line[i] - '0');
        if (i == 0)
            return false;
    }
    return line[i] == '{' && line[i + 1] >= '0' && line[i + 1] <= '9';
}

static struct slice pending_tag(const struct imap_session *session)
{
    struct imap_cursor c = {session->pending, session->pending + session->pending_count, NULL};
    struct slice tag;

    return imap_take_tag(&c, &tag) ? tag : SLICE("*");
}

/*
 * A synchronizing literal is refused by not asking for it; the other kind comes all the same, and the client with it
 * goes.
 */
static void refuse_literal(struct imap_session *session, bool synchronizing, const char *status, const char *why)
{
    struct slice tag = pending_tag(session);

    if (!synchronizing) {
        imap_bye(session, why);
        return;
    }
    stream_printf(session->common.stream, "%.*s %s %s\r\n", SLICE_ARG(tag), status, why);
    session->pending_count = 0;
    session->literals = 0;
    spool_unref(&session->append);
}

static void begin_literal(struct imap_session *session, uint64_t size, bool synchronizing)
{
    uint64_t limit = IMAP_COMMAND_MAX - session->pending_count;

    if (session->append) {
        refuse_literal(session, synchronizing, "BAD", "APPEND takes one message at a time");
        return;
    }
    /* the message is the first literal, or the second where the mailbox's name was one */
    if (session->literals++ < 2 && imap_append_expects(session)) {
        session->append = spool_new();
        limit = session->settings->message_size_max;
    }
    if (size > limit) {
        refuse_literal(session, synchronizing, "NO", "[TOOBIG] That literal is too long");
        return;
    }
    if (synchronizing)
        stream_printf(session->common.stream, "+ Go ahead\r\n");
    session->literal_left = size;
    if (size)
        stream_mode_raw(session->common.stream);
}

void imap_gather_line(struct imap_session *session, const char *line, size_t length)
{
    uint64_t size;
    bool synchronizing;

    if (session->pending_count + length + 2 > IMAP_COMMAND_MAX) {
        imap_bye(session, "[TOOBIG] That command is too long");
        return;
    }
    pending_add(session, line, length);
    if (ends_in_literal(line, length, &size, &synchronizing)) {
        pending_add(session, "\r\n", 2);
        begin_literal(session, size, synchronizing);
        return;
    }
    arena_reset(session->command);
    session->cursor = (struct imap_cursor){NULL, NULL, session->command};
    session->cursor.p = secret_slice(session->command, slice_of(session->pending, session->pending_count)).p;
    session->cursor.end = session->cursor.p + session->pending_count;
    secret_wipe(session->pending, session->pending_count);
    session->pending_count = 0;
    session->literals = 0;
    session_run(&session->common, imap_session_command);
}

void imap_gather_data(void *arg, struct evbuffer *input)
{
    struct imap_session *session = arg;

    while (session->literal_left && evbuffer_get_length(input)) {
        size_t n = evbuffer_get_contiguous_space(input);
        const char *bytes;

        if (n > session->literal_left)
            n = (size_t)session->literal_left;
        bytes = (const char *)evbuffer_pullup(input, (ev_ssize_t)n);
        if (!session->append)
            pending_add(session, bytes, n);
        else
            (void)!spool_append(session->append, slice_of(bytes, n)); /* the command will see that the spool failed */
        evbuffer_drain(input, n);
        session->literal_left -= n;
    }
    if (!session->literal_left)
        stream_mode_line(session->common.stream);
}

void imap_gather_drop(struct imap_session *session)
{
    if (session->pending)
        secret_wipe(session->pending, session->pending_room); /* LOGIN */
    free(session->pending);
    session->pending = NULL;
}
