/*
 * bounce: the end of a message that cannot be delivered.
 *
 * The DSN is mail like any other: built by relay/dsn.c, given to accept_commit() with the null sender, and on its way
 * when that says DONE.  Only then are the entries that failed reported as bounced; a crash in between sends the DSN
 * twice, never not at all.
 *
 * Where it goes is decided as for any recipient: into a mailbox here, to a relay domain's next hops, or outside.
 * There is no DSN for mail from the null sender (RFC 5321 6.1: a bounce of a bounce), nor for a sender in a
 * domain of ours who does not exist: both end with the event that queue_report() writes.
 *
 * Its header is read from the message's first chunk; a message without content (it was deleted) is reported without.
 */
#include "daemon/bounce.h"

#include <string.h>

#define LOG_MODULE "bounce"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_internal.h"
#include "storage/directory.h"

#define HEADER_READ (64 * 1024)

enum way { WAY_FOUND, WAY_NONE, WAY_LATER };

static struct slice domain_of(struct slice address)
{
    for (size_t i = address.n; i > 0; i--)
        if (address.p[i - 1] == '@')
            return slice_skip(address, i);
    return (struct slice){"", 0};
}

static void to_outside(struct arena *arena, const struct runner_message *m, struct accept_message *dsn,
                       struct accept_recipient *to)
{
    dsn->cell = id_cell(m->id);
    dsn->customer_id = m->customer_id;
    to->queue = true;
    to->destination = runner_settings()->default_route_host ? QUEUE_DESTINATION_DEFAULT
                                                            : queue_destination_mx(arena, domain_of(m->sender));
}

/* Cell and customer of the DSN, and what its one recipient is. */
static AWAITS enum way find_way(struct arena *arena, const struct runner_message *m, struct accept_message *dsn,
                                struct accept_recipient *to)
{
    struct directory_recipient found = {0};

    switch (directory_recipient(arena, m->sender, &found)) {
    case DB_FOUND: break;
    case DB_NONE: return WAY_NONE;
    case DB_FAILED: return WAY_LATER;
    }
    to->address = m->sender;
    to->expires_ms = clock_now_ms() + runner_settings()->queue_lifetime_ms;
    if (!found.has_domain) {
        if (!domain_of(m->sender).n)
            return WAY_NONE;
        to_outside(arena, m, dsn, to);
        return WAY_FOUND;
    }
    dsn->cell = found.domain.cell;
    dsn->customer_id = found.domain.customer_id;
    switch (found.domain.kind) {
    case DIRECTORY_HOSTED:
        if (!found.has_account || !directory_may_receive(&found.account))
            return WAY_NONE;
        to->mailbox_id = found.account.inbox_id;
        return WAY_FOUND;
    case DIRECTORY_RELAY:
        to->queue = true;
        to->destination = queue_destination_domain(arena, found.domain.id);
        to->domain_id = found.domain.id;
        to->account_id = found.has_account && directory_may_receive(&found.account) ? found.account.id : 0;
        if (found.domain.outage_id) { /* as for any mail that comes while its primary is away */
            to->waiting = true;
            to->mailbox_id = to->account_id ? found.account.inbox_id : 0;
        }
        return WAY_FOUND;
    }
    return WAY_NONE;
}

static struct slice read_header(struct arena *arena, const struct runner_message *m)
{
    char *buffer = arena_alloc(arena, HEADER_READ);
    struct slice start = {NULL, 0};
    size_t had = m->prefix.n < HEADER_READ ? m->prefix.n : HEADER_READ;

    memcpy(buffer, m->prefix.p ? m->prefix.p : "", had);
    if (!m->spool)
        return slice_of(buffer, had);
    if (!spool_read(m->spool, m->offset, HEADER_READ - had, buffer + had, &start))
        start.n = 0;
    if (start.n && start.p != buffer + had)
        memcpy(buffer + had, start.p, start.n);
    return slice_of(buffer, had + start.n);
}

static AWAITS enum db_write commit(struct arena *arena, struct runner_message *m, const struct dsn_recipient *recipients,
                                   unsigned count, struct accept_message *message, struct accept_recipient *to)
{
    struct spool *spool = spool_new();
    int64_t id = id_make(message->cell), now = clock_now_ms();
    struct dsn dsn = {
        .reporting_mta = slice_str(runner_settings()->hostname),
        .sender = m->sender,
        .message_id = m->id,
        .dsn_id = id,
        .arrival_ms = m->received_ms,
        .now_ms = now,
        .recipients = recipients,
        .count = count,
        .header = read_header(arena, m),
    };
    enum db_write written = DB_UNDONE;

    message->id = id;
    message->sender = SLICE("");
    message->received_ms = now;
    message->protocol = "LOCAL";
    message->prefix = SLICE("Return-Path: <>\r\n");
    message->spool = spool;
    message->recipients = to;
    message->recipient_count = 1;
    if (spool_append(spool, dsn_build(arena, &dsn)))
        written = accept_commit(message, 1);
    spool_unref(&spool);
    return written;
}

/* True: the sender has been told, or there is nobody to tell. */
static AWAITS bool tell(struct arena *arena, struct runner_message *m, const struct dsn_recipient *recipients, unsigned count)
{
    struct accept_message message = {0};
    struct accept_recipient to = {0};
    enum db_write written;

    if (!m->sender.n) {
        log_info("no bounce for a bounce", log_id("message", m->id));
        return true;
    }
    switch (find_way(arena, m, &message, &to)) {
    case WAY_FOUND: break;
    case WAY_NONE:
        log_info("no bounce: the sender cannot be reached", log_id("message", m->id), log_slice("sender", m->sender));
        return true;
    case WAY_LATER: return false;
    }
    if (runner_message_load(m) == DB_FAILED)
        return false;
    written = commit(arena, m, recipients, count, &message, &to);
    switch (written) {
    case DB_DONE: break;
    case DB_REFUSED: /* the account went meanwhile */
        log_warn("a bounce was refused", log_id("message", m->id), log_slice("sender", m->sender));
        return true;
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN:
        log_warn("a bounce could not be stored yet", log_id("message", m->id));
        return false;
    }
    log_info("bounce accepted", log_id("message", m->id), log_id("bounce", message.id), log_slice("sender", m->sender));
    return true;
}

bool bounce_send(struct runner_message *message, const struct dsn_recipient *recipients, unsigned count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    bool told = tell(arena, message, recipients, count);

    arena_free(&arena);
    return told;
}
