/*
 * carry_send: a sent copy as a message to its own sender, at the primary whose mailboxes we cannot reach.
 *
 * It is the message itself, under its own header, from the null sender, so that nobody is told should it not arrive; it
 * goes through the queue like any other.  Nothing is added: its user files it where it belongs.
 *
 * Once: its id is in the list of work before it is accepted, and an id is accepted once.  Whoever comes after a worker
 * that died finds the message there.
 */
#define LOG_MODULE "carry"
#include "core/id.h"
#include "core/log.h"
#include "daemon/carry_session.h"
#include "daemon/runner_internal.h"
#include "relay/notice.h"
#include "storage/body.h"

static enum carry_answer later(struct carry_session *session, const char *why)
{
    session->why = slice_str(why);
    return CARRY_LATER;
}

/* Without the Return-Path line, which is ours. */
static struct slice content_of(struct slice bytes, bool traced)
{
    const char *end;

    if (!traced || bytes.n <= 12 || strncasecmp(bytes.p, "Return-Path:", 12) != 0)
        return bytes;
    end = memchr(bytes.p, '\n', bytes.n);
    return end ? slice_skip(bytes, (size_t)(end + 1 - bytes.p)) : bytes;
}

static AWAITS enum carry_answer submit(struct carry_session *session, const struct carry_item *item,
                                       struct slice content)
{
    const struct notice_settings settings = {runner_settings()->hostname, runner_default_route(),
                                             runner_settings()->queue_lifetime_ms};
    const struct notice_letter letter = {.sender = SLICE(""),
                                         .recipient = session->account->address,
                                         .customer_id = session->account->customer_id,
                                         .cell = id_cell(item->account_id),
                                         .content = content};
    struct accept_message *messages;
    enum db_write written;
    unsigned count;

    switch (notice_letter(session->arena, &settings, &letter, &messages, &count)) {
    case NOTICE_MADE: break;
    case NOTICE_NOBODY: return CARRY_DONE; /* its address takes no mail any more */
    case NOTICE_LATER: return later(session, "it could not be made a message");
    }
    if (count == 1)
        messages[0].id = item->sent_as;
    for (unsigned i = 0; i < count; i++)
        messages[i].parameters = (struct slice){NULL, 0};
    written = accept_commit(messages, count);
    notice_done(messages, count);
    return written == DB_DONE ? CARRY_DONE : later(session, "it could not be accepted");
}

enum carry_answer carry_send(struct carry_session *session, struct carry_item *item)
{
    struct spool *spool = NULL;
    struct slice bytes;
    enum carry_answer answer = CARRY_DONE;
    enum db_status there = carry_sent(item->sent_as);

    if (there == DB_FAILED)
        return later(session, "whether it was sent could not be looked up");
    if (there == DB_NONE) {
        if (body_load(item->message_id, &spool) != DB_FOUND)
            return later(session, "the message could not be read");
        answer = spool_map(spool, &bytes) ? submit(session, item, content_of(bytes, item->traced))
                                          : later(session, "the message could not be read");
        spool_unref(&spool);
    }
    if (answer == CARRY_DONE && carry_forget(item) != DB_DONE)
        answer = later(session, "that could not be recorded");
    if (answer == CARRY_DONE)
        log_info("sent copy goes as a message", log_id("message", item->message_id), log_id("as", item->sent_as),
                 log_slice("account", session->account->address));
    return answer;
}
