/*
 * pop3_retrieve: RETR and TOP, in helpings.
 *
 * Each helping is one chunk of the stored message (storage/body.h), read by a short task and queued on the stream; the
 * next is read when the client has taken most of it.  The first is read before +OK is said, so that "the message is
 * gone" and "the database is away" are still answers.  A failure later has no answer in POP3: the only honest thing is
 * to end the connection without the final dot, so that no client takes half a message for a whole one.
 */
#include "protocols/pop3_session.h"

#include <inttypes.h>

#define LOG_MODULE "pop3"
#include "core/log.h"
#include "storage/body.h"

static void emit(void *arg, struct slice bytes)
{
    stream_write(((struct pop3_session *)arg)->common.stream, bytes);
}

static void finish(struct pop3_session *session)
{
    pop3_wire_end(&session->wire, emit, session);
    if (session->line.verb == POP3_RETR)
        session->source->retrieved = true;
    session->common.produce = NULL;
}

static bool at_end(const struct pop3_session *session)
{
    return session->wire.done || session->source_offset >= session->source->size;
}

static AWAITS enum db_status read_chunk(struct pop3_session *session, struct slice *chunk)
{
    *chunk = (struct slice){"", 0};
    if (at_end(session)) /* TOP's cut was reached, or the message is empty */
        return DB_FOUND;
    return body_read(session->command, session->source->message_id, session->source_offset, chunk);
}

static void send_chunk(struct pop3_session *session, struct slice chunk)
{
    session->source_offset += chunk.n;
    pop3_wire_feed(&session->wire, chunk, emit, session);
    if (at_end(session))
        finish(session);
}

/* ------------------------------------------------------------------ the rest of a message */

static AWAITS void next_chunk(void *arg)
{
    struct pop3_session *session = arg;
    struct slice chunk;
    enum db_status status;

    arena_reset(session->command);
    status = read_chunk(session, &chunk);
    if (!session->common.stream)
        return;
    if (status == DB_FOUND && chunk.n > 0) {
        send_chunk(session, chunk);
        return;
    }
    log_warn("message breaks off", log_id("message", session->source->message_id),
             log_int("offset", (int64_t)session->source_offset),
             log_str("reason", status == DB_FAILED ? "database is away" : "it is shorter than it should be"));
    pop3_session_break(session);
}

static void produce_message(void *arg)
{
    struct pop3_session *session = arg;

    session_run(&session->common, next_chunk);
}

/* ------------------------------------------------------------------ its beginning */

static AWAITS void first_chunk(void *arg)
{
    struct pop3_session *session = arg;
    struct slice chunk;
    enum db_status status = read_chunk(session, &chunk);

    if (!session->common.stream)
        return;
    switch (status) {
    case DB_FOUND:
        if (session->line.verb == POP3_RETR)
            pop3_ok(session, "%" PRIu64 " octets", session->source->size);
        else
            pop3_ok(session, "Top of message follows");
        session->common.produce = produce_message;
        send_chunk(session, chunk);
        return;
    case DB_NONE: pop3_err(session, NULL, "Message %u was removed by another session", session->line.number); return;
    case DB_FAILED: pop3_err(session, "SYS/TEMP", "The message cannot be read now, try again later"); return;
    }
}

void pop3_command_retrieve(struct pop3_session *session)
{
    session->source = pop3_maildrop_item(session);
    if (!session->source)
        return;
    session->source_offset = 0;
    if (session->line.verb == POP3_TOP)
        pop3_wire_init_top(&session->wire, session->line.lines);
    else
        pop3_wire_init(&session->wire);
    session_run(&session->common, first_chunk);
}
