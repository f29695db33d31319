/*
 * runner_notice: tells senders what became of their mail.
 *
 * A notice is mail like any other: made by relay/notice.c, given to accept_commit(), and on its way when that says
 * DONE. Only then are entries that failed reported as bounced; a crash in between tells twice, never not at all.  A
 * delay is told in the transaction that marks it as told: once; a delivery into a mailbox here in the one that files
 * it.
 *
 * Those recipients whose sender does not want to hear of this are left out; where nobody is left, nothing is told.
 * Both end with the event that queue_report() writes.  A message without content (it was deleted) is reported without.
 */
#define LOG_MODULE "notice"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_bounce.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_memory.h"

/* What the notice is about, without content. */
static struct notice notice_of(struct arena *arena, enum dsn_action action, struct runner_entry *const *entries,
                               const struct dsn_recipient *reasons, unsigned count, int64_t *ids)
{
    const struct runner_message *m = entries[0]->message;
    struct dsn_recipient *told = arena_array(arena, count, sizeof *told);
    struct notice notice = {
        .message_id = m->id,
        .customer_id = m->customer_id,
        .received_ms = m->received_ms,
        .sender = m->sender,
        .envelope = m->envelope,
        .client = m->client,
        .helo = m->helo,
        .action = action,
        .recipients = told,
    };

    for (unsigned i = 0; i < count; i++) {
        if (!notice_wanted(m->sender, &entries[i]->envelope, action))
            continue;
        told[notice.count] = reasons[i];
        told[notice.count].original = entries[i]->envelope.orcpt;
        ids[notice.count++] = entries[i]->id;
    }
    return notice;
}

static AWAITS bool commit(struct runner_message *m, struct accept_message *messages, unsigned count, const char *what)
{
    switch (accept_commit(messages, count)) {
    case DB_DONE:
        log_info("notice accepted", log_id("message", m->id), log_id("notice", messages[0].id), log_str("what", what),
                 log_slice("sender", m->sender));
        return true;
    case DB_REFUSED: /* the account went meanwhile */
        log_warn("a notice was refused", log_id("message", m->id), log_slice("sender", m->sender));
        return true;
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN: break;
    }
    log_warn("a notice could not be stored yet", log_id("message", m->id));
    return false;
}

static AWAITS bool tell(struct arena *arena, enum dsn_action action, struct runner_entry *const *entries,
                        const struct dsn_recipient *reasons, unsigned count)
{
    static const char *const what[] = {"failed", "delayed", "delivered", "relayed", "expanded", "late", "traced"};
    const struct notice_settings settings = {runner_settings()->hostname, runner_default_route(),
                                             runner_settings()->queue_lifetime_ms};
    struct runner_message *m = entries[0]->message;
    int64_t *ids = arena_array(arena, count, sizeof *ids);
    struct notice notice = notice_of(arena, action, entries, reasons, count, ids);
    struct accept_message *messages;
    unsigned message_count;
    bool told;

    if (!notice.count) {
        log_info("no notice: none is wanted", log_id("message", m->id), log_str("what", what[action]));
        return true;
    }
    if (runner_message_load(m) == DB_FAILED)
        return false;
    notice.prefix = m->prefix;
    notice.spool = m->spool;
    notice.offset = m->offset;
    switch (notice_make(arena, &settings, &notice, &messages, &message_count)) {
    case NOTICE_MADE: break;
    case NOTICE_NOBODY:
        log_info("no notice: the sender cannot be reached", log_id("message", m->id), log_slice("sender", m->sender));
        return action == DSN_DELAYED ? queue_not_delayed(ids, notice.count) == DB_DONE
               : action == DSN_LATE  ? queue_not_late(ids, notice.count) == DB_DONE
                                     : true;
    case NOTICE_LATER: return false;
    }
    if (action == DSN_DELAYED) {
        messages[0].delayed = ids;
        messages[0].delayed_count = notice.count;
    } else if (action == DSN_LATE) {
        messages[0].late = ids;
        messages[0].late_count = notice.count;
    } else if (action == DSN_DELIVERED) {
        messages[0].filed = ids;
        messages[0].filed_count = notice.count;
    }
    told = commit(m, messages, message_count, what[action]);
    notice_done(messages, message_count);
    return told;
}

bool runner_tell(enum dsn_action action, struct runner_entry *const *entries, const struct dsn_recipient *reasons,
                 unsigned count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    bool told = tell(arena, action, entries, reasons, count);

    arena_free(&arena);
    return told;
}
